package server

import (
	"regexp"
	"strings"

	"github.com/naru-stream/naru/internal/kafka/protocol"
)

// softwareName is what a client may call itself and its version (KIP-511).
var softwareName = regexp.MustCompile(`^[a-zA-Z0-9](?:[a-zA-Z0-9\-.]*[a-zA-Z0-9])?$`)

// supportedFeature is a feature whose levels this broker understands.
type supportedFeature struct {
	name     string
	min, max int16
}

// supportedFeatures are those whose APIs are served.
var supportedFeatures = []supportedFeature{
	{"eligible.leader.replicas.version", 0, 1},
	{"group.version", 0, 1},
	{"kraft.version", 0, 1},
	{"metadata.version", 7, 30},
	{"share.version", 0, 1},
	{"streams.version", 0, 1},
	{"transaction.version", 0, 2},
}

// apiVersions tells which APIs are served in which versions, and which features
// the cluster has settled on.
func (b *Broker) apiVersions(c *call, r *protocol.ApiVersionsRequest) protocol.Message {
	response := &protocol.ApiVersionsResponse{}
	response.SetDefaults()
	if c.version() >= 3 && (!softwareName.MatchString(r.ClientSoftwareName) || !softwareName.MatchString(r.ClientSoftwareVersion)) {
		response.ErrorCode = protocol.InvalidRequest
		return response
	}
	if c.version() >= 3 {
		c.req.Conn().SetClientSoftware(strings.Clone(r.ClientSoftwareName), strings.Clone(r.ClientSoftwareVersion))
	}
	for _, row := range b.rows {
		if row != nil {
			response.ApiKeys = append(response.ApiKeys, protocol.ApiVersionsResponseApiVersion{
				ApiKey: int16(row.key), MinVersion: row.min, MaxVersion: row.max,
			})
		}
	}
	image := b.image()
	for _, f := range supportedFeatures {
		// Clients before v4 fail on a feature whose minimum is 0 (KAFKA-17011).
		if f.min > 0 || c.version() >= 4 {
			response.SupportedFeatures = append(response.SupportedFeatures, protocol.ApiVersionsResponseSupportedFeatureKey{
				Name: f.name, MinVersion: f.min, MaxVersion: f.max,
			})
		}
		if level := image.Feature(f.name); level > 0 && f.name != "kraft.version" {
			response.FinalizedFeatures = append(response.FinalizedFeatures, protocol.ApiVersionsResponseFinalizedFeatureKey{
				Name: f.name, MinVersionLevel: level, MaxVersionLevel: level,
			})
		}
	}
	response.FinalizedFeaturesEpoch = max(image.Offset, 0)
	return response
}

// refuseApiVersions answers a version above ours in version 0 with the one range
// the client needs to try again (KIP-511).
func (b *Broker) refuseApiVersions(c *call) {
	row := b.rows[protocol.KeyApiVersions]
	response := &protocol.ApiVersionsResponse{ErrorCode: protocol.UnsupportedVersion}
	response.ApiKeys = []protocol.ApiVersionsResponseApiVersion{{
		ApiKey: int16(row.key), MinVersion: row.min, MaxVersion: row.max,
	}}
	out := protocol.AppendResponseHeader(c.req.Buffer(), c.header.APIKey, 0, c.header.CorrelationID)
	c.req.Respond(response.Append(out, 0))
}
