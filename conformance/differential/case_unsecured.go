package differential

import "github.com/naru-stream/naru/internal/kafka/protocol"

// unsecured asks about security where there is none: PLAINTEXT, no authorizer.
func unsecured(s *Session) {
	name, kind := "alice", "User"
	for _, q := range []struct {
		what    string
		request protocol.Request
	}{
		{"known mechanism", &protocol.SaslHandshakeRequest{Mechanism: "PLAIN"}},
		{"unknown mechanism", &protocol.SaslHandshakeRequest{Mechanism: "NONE"}},
		{"token", &protocol.SaslAuthenticateRequest{AuthBytes: []byte("\x00alice\x00secret")}},
		{"no token", &protocol.SaslAuthenticateRequest{}},
		{"all", &protocol.DescribeAclsRequest{ResourceTypeFilter: 1, PatternTypeFilter: 1, Operation: 1, PermissionType: 1}},
		{"two acls", &protocol.CreateAclsRequest{Creations: []protocol.CreateAclsRequestAclCreation{
			{ResourceType: 2, ResourceName: "a", ResourcePatternType: 3, Principal: "User:alice", Host: "*", Operation: 3, PermissionType: 3},
			{ResourceType: 4, ResourceName: "no-cluster", ResourcePatternType: 3, Principal: "User:alice", Host: "*", Operation: 3, PermissionType: 3},
		}}},
		{"no acls", &protocol.CreateAclsRequest{}},
		{"two filters", &protocol.DeleteAclsRequest{Filters: []protocol.DeleteAclsRequestDeleteAclsFilter{
			{ResourceTypeFilter: 1, PatternTypeFilter: 1, Operation: 1, PermissionType: 1},
			{ResourceTypeFilter: 2, PatternTypeFilter: 3, Operation: 3, PermissionType: 3},
		}}},
		{"no filters", &protocol.DeleteAclsRequest{}},
		{"of the client", &protocol.CreateDelegationTokenRequest{MaxLifetimeMs: -1}},
		{"hmac", &protocol.RenewDelegationTokenRequest{Hmac: []byte("hmac"), RenewPeriodMs: -1}},
		{"hmac to expire", &protocol.ExpireDelegationTokenRequest{Hmac: []byte("hmac"), ExpiryTimePeriodMs: -1}},
		{"all tokens", &protocol.DescribeDelegationTokenRequest{}},
	} {
		s.each(q.request.Key(), q.what, func(int16) protocol.Request { return q.request })
	}
	s.ask("of somebody else", 3, &protocol.CreateDelegationTokenRequest{OwnerPrincipalType: &kind, OwnerPrincipalName: &name})
}
