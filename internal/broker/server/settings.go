package server

import (
	"strconv"

	"github.com/naru-stream/naru/internal/kafka/config"
	"github.com/naru-stream/naru/internal/quorum/metadata"
)

// Settings layers the dynamic settings of a broker over its static ones. A dynamic
// value that is not allowed (written by a newer version, say) is left out.
func Settings(image *metadata.Image, static config.Values, nodeID int32) config.Values {
	own := image.Config(metadata.ConfigResource{Type: metadata.ResourceBroker, Name: strconv.Itoa(int(nodeID))})
	all := image.Config(metadata.ConfigResource{Type: metadata.ResourceBroker})
	if own.Len() == 0 && all.Len() == 0 {
		return static
	}
	v, _ := static.WithDynamic(own.Map(), all.Map())
	return v
}
