package metadata

import (
	"fmt"
	"slices"
	"strings"

	"github.com/naru-stream/naru/internal/kafka/metarecord"
	"github.com/naru-stream/naru/internal/kafka/wire"
)

// Directory ids that name no directory (KIP-858).
var (
	// DirectoryMigrating stands for a directory not told by a broker that does not
	// assign replicas to directories.
	DirectoryMigrating = wire.UUID{}
	// DirectoryUnassigned stands for a directory that is still to be chosen.
	DirectoryUnassigned = wire.UUID{15: 1}
	// DirectoryLost stands for a directory that has failed.
	DirectoryLost = wire.UUID{15: 2}
)

// ReservedDirectory says whether no directory may have this id.
func ReservedDirectory(id wire.UUID) bool {
	for _, b := range id[:15] {
		if b != 0 {
			return false
		}
	}
	return id[15] < 100
}

// Endpoint is an address that a broker or controller announces.
type Endpoint struct {
	// Name is the name of the listener, unique within the node.
	Name string
	Host string
	Port uint16
	// SecurityProtocol is Kafka's number: 0 PLAINTEXT, 1 SSL, 2 SASL_PLAINTEXT,
	// 3 SASL_SSL.
	SecurityProtocol int16
}

// FeatureRange is the levels of a feature that a node supports.
type FeatureRange struct {
	Name     string
	Min, Max int16
}

// Broker is the registration of a broker. It is immutable.
type Broker struct {
	ID int32
	// Epoch is the offset of the record that registered this incarnation; it grows
	// with each start of the broker.
	Epoch int64
	// IncarnationID is chosen by the broker at each start.
	IncarnationID wire.UUID
	Endpoints     []Endpoint
	Features      []FeatureRange
	Rack          *string
	// Fenced means that clients do not see the broker and it leads nothing.
	Fenced               bool
	InControlledShutdown bool
	LogDirs              []wire.UUID
	// CordonedLogDirs take no new replicas; nil until the broker has told.
	CordonedLogDirs []wire.UUID
}

// Cordoned tells that none of the broker's log directories takes new replicas.
func (b *Broker) Cordoned() bool {
	return len(b.CordonedLogDirs) > 0 && !slices.ContainsFunc(b.LogDirs, func(dir wire.UUID) bool { return !slices.Contains(b.CordonedLogDirs, dir) })
}

// Active says whether the broker may lead and join in-sync sets.
func (b *Broker) Active() bool { return !b.Fenced && !b.InControlledShutdown }

// Endpoint returns the address of a listener and whether the broker has it.
func (b *Broker) Endpoint(listener string) (Endpoint, bool) {
	for _, e := range b.Endpoints {
		if e.Name == listener {
			return e, true
		}
	}
	return Endpoint{}, false
}

// DefaultDirectory returns the directory that a new replica on this broker is
// assigned to: its only one, or DirectoryUnassigned where the broker is to
// choose.
func (b *Broker) DefaultDirectory() wire.UUID {
	switch len(b.LogDirs) {
	case 0:
		return DirectoryMigrating
	case 1:
		return b.LogDirs[0]
	default:
		return DirectoryUnassigned
	}
}

// Controller is the registration of a controller. It is immutable.
type Controller struct {
	ID            int32
	IncarnationID wire.UUID
	Endpoints     []Endpoint
	Features      []FeatureRange
}

func (d *Delta) registerBroker(r *metarecord.RegisterBrokerRecord) {
	b := &Broker{
		ID:                   r.BrokerId,
		Epoch:                r.BrokerEpoch,
		IncarnationID:        r.IncarnationId,
		Fenced:               r.Fenced,
		InControlledShutdown: r.InControlledShutdown,
		LogDirs:              slices.Clone(r.LogDirs),
		CordonedLogDirs:      slices.Clone(r.CordonedLogDirs),
	}
	if r.Rack != nil {
		rack := strings.Clone(*r.Rack)
		b.Rack = &rack
	}
	for _, e := range r.EndPoints {
		b.Endpoints = append(b.Endpoints, Endpoint{strings.Clone(e.Name), strings.Clone(e.Host), e.Port, e.SecurityProtocol})
	}
	for _, f := range r.Features {
		b.Features = append(b.Features, FeatureRange{strings.Clone(f.Name), f.MinSupportedVersion, f.MaxSupportedVersion})
	}
	slices.SortFunc(b.Features, func(x, y FeatureRange) int { return strings.Compare(x.Name, y.Name) })
	d.setBroker(b)
}

func (b *Broker) record() *metarecord.RegisterBrokerRecord {
	r := &metarecord.RegisterBrokerRecord{
		BrokerId:             b.ID,
		BrokerEpoch:          b.Epoch,
		IncarnationId:        b.IncarnationID,
		Rack:                 b.Rack,
		Fenced:               b.Fenced,
		InControlledShutdown: b.InControlledShutdown,
		LogDirs:              b.LogDirs,
		CordonedLogDirs:      b.CordonedLogDirs,
	}
	for _, e := range b.Endpoints {
		r.EndPoints = append(r.EndPoints, metarecord.RegisterBrokerRecordBrokerEndpoint{
			Name: e.Name, Host: e.Host, Port: e.Port, SecurityProtocol: e.SecurityProtocol,
		})
	}
	for _, f := range b.Features {
		r.Features = append(r.Features, metarecord.RegisterBrokerRecordBrokerFeature{
			Name: f.Name, MinSupportedVersion: f.Min, MaxSupportedVersion: f.Max,
		})
	}
	return r
}

func (d *Delta) registerController(r *metarecord.RegisterControllerRecord) {
	c := &Controller{ID: r.ControllerId, IncarnationID: r.IncarnationId}
	for _, e := range r.EndPoints {
		c.Endpoints = append(c.Endpoints, Endpoint{strings.Clone(e.Name), strings.Clone(e.Host), e.Port, e.SecurityProtocol})
	}
	for _, f := range r.Features {
		c.Features = append(c.Features, FeatureRange{strings.Clone(f.Name), f.MinSupportedVersion, f.MaxSupportedVersion})
	}
	at, found := slices.BinarySearchFunc(d.img.controllers, c.ID, func(c *Controller, id int32) int { return int(c.ID) - int(id) })
	d.img.controllers = slices.Clone(d.img.controllers)
	if found {
		d.img.controllers[at] = c
	} else {
		d.img.controllers = slices.Insert(d.img.controllers, at, c)
	}
}

func (c *Controller) record() *metarecord.RegisterControllerRecord {
	r := &metarecord.RegisterControllerRecord{ControllerId: c.ID, IncarnationId: c.IncarnationID}
	for _, e := range c.Endpoints {
		r.EndPoints = append(r.EndPoints, metarecord.RegisterControllerRecordControllerEndpoint{
			Name: e.Name, Host: e.Host, Port: e.Port, SecurityProtocol: e.SecurityProtocol,
		})
	}
	for _, f := range c.Features {
		r.Features = append(r.Features, metarecord.RegisterControllerRecordControllerFeature{
			Name: f.Name, MinSupportedVersion: f.Min, MaxSupportedVersion: f.Max,
		})
	}
	return r
}

// changeBroker replaces the registration of a broker by an edited copy.
func (d *Delta) changeBroker(id int32, epoch int64, edit func(*Broker)) error {
	b := d.img.Broker(id)
	if b == nil {
		return fmt.Errorf("broker %d is not registered", id)
	}
	if b.Epoch != epoch {
		return fmt.Errorf("broker %d is registered with epoch %d, not %d", id, b.Epoch, epoch)
	}
	changed := *b
	edit(&changed)
	d.setBroker(&changed)
	return nil
}

func (d *Delta) changeRegistration(r *metarecord.BrokerRegistrationChangeRecord) error {
	return d.changeBroker(r.BrokerId, r.BrokerEpoch, func(b *Broker) {
		switch r.Fenced {
		case 1:
			b.Fenced = true
		case -1:
			b.Fenced = false
		}
		if r.InControlledShutdown == 1 {
			b.InControlledShutdown = true
		}
		if len(r.LogDirs) > 0 {
			b.LogDirs = slices.Clone(r.LogDirs)
		}
		if r.CordonedLogDirs != nil {
			b.CordonedLogDirs = slices.Clone(r.CordonedLogDirs)
		}
	})
}

func (d *Delta) setBroker(b *Broker) {
	d.touchBroker(b.ID)
	at, found := d.brokerIndex(b.ID)
	d.img.brokers = slices.Clone(d.img.brokers)
	if found {
		d.img.brokers[at] = b
	} else {
		d.img.brokers = slices.Insert(d.img.brokers, at, b)
	}
}

func (d *Delta) unregisterBroker(r *metarecord.UnregisterBrokerRecord) error {
	if err := d.changeBroker(r.BrokerId, r.BrokerEpoch, func(*Broker) {}); err != nil {
		return err
	}
	at, _ := d.brokerIndex(r.BrokerId)
	d.img.brokers = slices.Delete(d.img.brokers, at, at+1)
	return nil
}

func (d *Delta) brokerIndex(id int32) (int, bool) {
	return slices.BinarySearchFunc(d.img.brokers, id, func(b *Broker, id int32) int { return int(b.ID) - int(id) })
}
