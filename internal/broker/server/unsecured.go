package server

import "github.com/naru-stream/naru/internal/kafka/protocol"

// unsecured returns the rows of the APIs about security, which are answered as a
// broker of Apache Kafka does whose listeners are PLAINTEXT and that has no
// authorizer: a client that is set up for more learns why it does not get it.
func unsecured() []row {
	return []row{
		{protocol.KeySaslHandshake, 0, 0, 1, inline((*Broker).saslHandshake)},
		{protocol.KeyDescribeAcls, 1, 1, 3, inline((*Broker).describeAcls)},
		{protocol.KeyCreateAcls, 1, 1, 3, inline((*Broker).createAcls)},
		{protocol.KeyDeleteAcls, 1, 1, 3, inline((*Broker).deleteAcls)},
		{protocol.KeySaslAuthenticate, 0, 0, 2, inline((*Broker).saslAuthenticate)},
		{protocol.KeyCreateDelegationToken, 1, 1, 3, inline((*Broker).createDelegationToken)},
		{protocol.KeyRenewDelegationToken, 1, 1, 2, inline((*Broker).renewDelegationToken)},
		{protocol.KeyExpireDelegationToken, 1, 1, 2, inline((*Broker).expireDelegationToken)},
		{protocol.KeyDescribeDelegationToken, 1, 1, 3, inline((*Broker).describeDelegationToken)},
	}
}

// saslHandshake answers a client that wants to authenticate where nobody can.
func (*Broker) saslHandshake(_ *call, _ *protocol.SaslHandshakeRequest) protocol.Message {
	return &protocol.SaslHandshakeResponse{ErrorCode: protocol.IllegalSaslState}
}

func (*Broker) saslAuthenticate(_ *call, _ *protocol.SaslAuthenticateRequest) protocol.Message {
	return &protocol.SaslAuthenticateResponse{
		ErrorCode: protocol.IllegalSaslState, ErrorMessage: ptr("SaslAuthenticate request received after successful authentication"),
	}
}

func (*Broker) describeAcls(_ *call, _ *protocol.DescribeAclsRequest) protocol.Message {
	return &protocol.DescribeAclsResponse{
		ErrorCode: protocol.SecurityDisabled, ErrorMessage: ptr("No Authorizer is configured on the broker"),
	}
}

// noAuthorizer is why ACLs cannot be changed.
const noAuthorizer = "No Authorizer is configured."

func (*Broker) createAcls(_ *call, r *protocol.CreateAclsRequest) protocol.Message {
	response := &protocol.CreateAclsResponse{}
	for range r.Creations {
		response.Results = append(response.Results, protocol.CreateAclsResponseAclCreationResult{
			ErrorCode: protocol.SecurityDisabled, ErrorMessage: ptr(noAuthorizer),
		})
	}
	return response
}

func (*Broker) deleteAcls(_ *call, r *protocol.DeleteAclsRequest) protocol.Message {
	response := &protocol.DeleteAclsResponse{}
	for range r.Filters {
		response.FilterResults = append(response.FilterResults, protocol.DeleteAclsResponseDeleteAclsFilterResult{
			ErrorCode: protocol.SecurityDisabled, ErrorMessage: ptr(noAuthorizer),
		})
	}
	return response
}

// Delegation tokens (KIP-48) are for clients that have authenticated.

// noTime is a timestamp of a token that there is not.
const noTime = -1

func (*Broker) createDelegationToken(c *call, r *protocol.CreateDelegationTokenRequest) protocol.Message {
	response := &protocol.CreateDelegationTokenResponse{
		ErrorCode:     protocol.DelegationTokenRequestNotAllowed,
		PrincipalType: "User", PrincipalName: "ANONYMOUS",
		IssueTimestampMs: noTime, ExpiryTimestampMs: noTime, MaxTimestampMs: noTime,
	}
	if c.version() >= 3 {
		response.TokenRequesterPrincipalType, response.TokenRequesterPrincipalName = "User", "ANONYMOUS"
	}
	if r.OwnerPrincipalName != nil && *r.OwnerPrincipalName != "" {
		response.PrincipalName = *r.OwnerPrincipalName
		if r.OwnerPrincipalType != nil {
			response.PrincipalType = *r.OwnerPrincipalType
		}
	}
	return response
}

func (*Broker) renewDelegationToken(_ *call, _ *protocol.RenewDelegationTokenRequest) protocol.Message {
	return &protocol.RenewDelegationTokenResponse{ErrorCode: protocol.DelegationTokenRequestNotAllowed, ExpiryTimestampMs: noTime}
}

func (*Broker) expireDelegationToken(_ *call, _ *protocol.ExpireDelegationTokenRequest) protocol.Message {
	return &protocol.ExpireDelegationTokenResponse{ErrorCode: protocol.DelegationTokenRequestNotAllowed, ExpiryTimestampMs: noTime}
}

func (*Broker) describeDelegationToken(_ *call, _ *protocol.DescribeDelegationTokenRequest) protocol.Message {
	return &protocol.DescribeDelegationTokenResponse{ErrorCode: protocol.DelegationTokenRequestNotAllowed}
}
