package naru

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"strconv"
	"strings"

	"github.com/naru-stream/naru/internal/kafka/config"
	"github.com/naru-stream/naru/internal/quorum/metadata"
)

// Defaults that differ from Apache Kafka's, so that a node starts without a file:
// Kafka has no usable default for node.id and log.dirs, and listens on every
// address, which nobody wants of a program that was only just tried out.
const (
	defaultListeners = "PLAINTEXT://localhost:9092"
	defaultLogDirs   = "naru-data"
	defaultNodeID    = "1"
)

// securityProtocols are Kafka's numbers of what a listener speaks.
var securityProtocols = map[string]int16{"PLAINTEXT": 0, "SSL": 1, "SASL_PLAINTEXT": 2, "SASL_SSL": 3}

// withDefaults returns the properties with what a node cannot do without.
func withDefaults(properties map[string]string) map[string]string {
	out := maps.Clone(properties)
	if out == nil {
		out = map[string]string{}
	}
	set := func(value string, names ...string) {
		for _, name := range names {
			if _, ok := out[name]; ok {
				return
			}
		}
		out[names[0]] = value
	}
	set(defaultListeners, "listeners")
	set(defaultLogDirs, "log.dirs", "log.dir")
	set(defaultNodeID, "node.id", "broker.id")
	return out
}

// nodeID returns the node's id; broker.id is Kafka's older name of it.
func nodeID(v config.Values) int32 {
	if v.IsSet("node.id") {
		return v.Int32("node.id")
	}
	return v.Int32("broker.id")
}

// endpoint is one listener: where it listens and what it speaks.
type endpoint struct {
	name, address, host string
	port                uint16
	protocol            int16
}

// endpoints reads the setting `listeners` (or `advertised.listeners`).
func endpoints(v config.Values, setting string) ([]endpoint, error) {
	protocols := map[string]string{}
	for _, pair := range strings.Split(v.String("listener.security.protocol.map"), ",") {
		if name, protocol, ok := strings.Cut(pair, ":"); ok {
			protocols[strings.TrimSpace(name)] = strings.TrimSpace(protocol)
		}
	}
	controllers := map[string]bool{}
	for _, name := range v.List("controller.listener.names") {
		controllers[name] = true
	}
	var out []endpoint
	for _, text := range v.List(setting) {
		if name, _, _ := strings.Cut(text, "://"); controllers[name] {
			continue // the controller is reached in process
		}
		e, err := parseEndpoint(text, protocols)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", setting, err)
		}
		if e.protocol != 0 {
			return nil, fmt.Errorf("%s: %q asks for encryption or authentication, which this version does not serve: use PLAINTEXT", setting, text)
		}
		out = append(out, e)
	}
	if len(out) == 0 && setting == "listeners" {
		return nil, errors.New("listeners names no address for clients: for example PLAINTEXT://localhost:9092")
	}
	return out, nil
}

func parseEndpoint(text string, protocols map[string]string) (endpoint, error) {
	name, address, ok := strings.Cut(strings.TrimSpace(text), "://")
	if !ok || name == "" {
		return endpoint{}, fmt.Errorf("%q is not of the form NAME://host:port", text)
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return endpoint{}, fmt.Errorf("%q is not of the form NAME://host:port: %w", text, err)
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return endpoint{}, fmt.Errorf("the port of %q is not a number from 0 to 65535", text)
	}
	protocol := protocols[name]
	if protocol == "" {
		protocol = name
	}
	number, ok := securityProtocols[protocol]
	if !ok {
		return endpoint{}, fmt.Errorf("listener %q needs an entry in listener.security.protocol.map, such as %s:PLAINTEXT", name, name)
	}
	return endpoint{name: name, address: address, host: host, port: uint16(n), protocol: number}, nil
}

// advertise returns what clients are told to connect to: advertised.listeners
// where it names the listener, else the address it listens on. A port of 0 stands
// for the one that was bound.
func advertise(listeners, advertised []endpoint, bound map[string]int, hostname string) []metadata.Endpoint {
	var out []metadata.Endpoint
	for _, l := range listeners {
		for _, a := range advertised {
			if a.name == l.name {
				l.host, l.port = a.host, a.port
			}
		}
		if l.host == "" || l.host == "0.0.0.0" || l.host == "::" {
			l.host = hostname
		}
		if l.port == 0 {
			l.port = uint16(bound[l.name])
		}
		out = append(out, metadata.Endpoint{Name: l.name, Host: l.host, Port: l.port, SecurityProtocol: l.protocol})
	}
	return out
}
