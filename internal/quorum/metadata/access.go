package metadata

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"

	"github.com/naru-stream/naru/internal/kafka/metarecord"
	"github.com/naru-stream/naru/internal/kafka/wire"
)

// QuotaEntity is one part of what a quota applies to: a user, a client id or an
// address. A nil Name is the default for the type.
type QuotaEntity struct {
	Type string
	Name *string
}

// Quota is the limits of one entity. It is immutable.
type Quota struct {
	// Entity is ordered by type.
	Entity []QuotaEntity
	// Limits are ordered by key.
	Limits []QuotaLimit
}

// QuotaLimit is one limit, such as producer_byte_rate in bytes a second.
type QuotaLimit struct {
	Key   string
	Value float64
}

// ScramCredential is what the broker keeps of a user's password (KIP-554). It is
// immutable.
type ScramCredential struct {
	User string
	// Mechanism is 1 for SCRAM-SHA-256, 2 for SCRAM-SHA-512.
	Mechanism                  int8
	Salt, StoredKey, ServerKey []byte
	Iterations                 int32
}

type credentialKey struct {
	mechanism int8
	user      string
}

func compareCredential(a, b credentialKey) int {
	return cmp.Or(cmp.Compare(a.mechanism, b.mechanism), strings.Compare(a.user, b.user))
}

// ACL is one access control entry; the numbers are Kafka's. It is immutable.
type ACL struct {
	ID             wire.UUID
	ResourceType   int8
	ResourceName   string
	PatternType    int8
	Principal      string
	Host           string
	Operation      int8
	PermissionType int8
}

// DelegationToken is a token that acts for its owner (KIP-48). Times are
// milliseconds since 1970. It is immutable.
type DelegationToken struct {
	TokenID               string
	Owner, Requester      string
	Renewers              []string
	IssueTimestampMs      int64
	MaxTimestampMs        int64
	ExpirationTimestampMs int64
}

// quotaKey identifies an entity whatever the order of its parts.
func quotaKey(entity []QuotaEntity) string {
	var key []byte
	for _, e := range entity {
		key = binary.AppendUvarint(key, uint64(len(e.Type)))
		key = append(key, e.Type...)
		if e.Name == nil {
			key = append(key, 0)
			continue
		}
		key = append(key, 1)
		key = binary.AppendUvarint(key, uint64(len(*e.Name)))
		key = append(key, *e.Name...)
	}
	return string(key)
}

func (d *Delta) changeQuota(r *metarecord.ClientQuotaRecord) {
	d.access |= QuotasChanged
	entity := make([]QuotaEntity, 0, len(r.Entity))
	for _, e := range r.Entity {
		part := QuotaEntity{Type: strings.Clone(e.EntityType)}
		if e.EntityName != nil {
			name := strings.Clone(*e.EntityName)
			part.Name = &name
		}
		entity = append(entity, part)
	}
	slices.SortFunc(entity, func(a, b QuotaEntity) int { return strings.Compare(a.Type, b.Type) })
	key := quotaKey(entity)
	edit := edit(&d.quotas, d.img.quotas)
	changed := &Quota{Entity: entity}
	if old, ok := edit.Get(key); ok {
		changed.Limits = slices.Clone(old.Limits)
	}
	at, found := slices.BinarySearchFunc(changed.Limits, r.Key, func(l QuotaLimit, key string) int {
		return strings.Compare(l.Key, key)
	})
	switch {
	case r.Remove && found:
		changed.Limits = slices.Delete(changed.Limits, at, at+1)
	case r.Remove:
	case found:
		changed.Limits[at].Value = r.Value
	default:
		changed.Limits = slices.Insert(changed.Limits, at, QuotaLimit{strings.Clone(r.Key), r.Value})
	}
	if len(changed.Limits) > 0 {
		edit.Set(key, changed)
	} else {
		edit.Delete(key)
	}
}

func (q *Quota) records() []Record {
	var records []Record
	for _, l := range q.Limits {
		r := &metarecord.ClientQuotaRecord{Key: l.Key, Value: l.Value}
		for _, e := range q.Entity {
			r.Entity = append(r.Entity, metarecord.ClientQuotaRecordEntityData{EntityType: e.Type, EntityName: e.Name})
		}
		records = append(records, r)
	}
	return records
}

func (d *Delta) setCredential(r *metarecord.UserScramCredentialRecord) {
	d.access |= CredentialsChanged
	c := &ScramCredential{
		User: strings.Clone(r.Name), Mechanism: r.Mechanism, Iterations: r.Iterations,
		Salt: bytes.Clone(r.Salt), StoredKey: bytes.Clone(r.StoredKey), ServerKey: bytes.Clone(r.ServerKey),
	}
	edit(&d.credentials, d.img.credentials).Set(credentialKey{c.Mechanism, c.User}, c)
}

func (c *ScramCredential) record() *metarecord.UserScramCredentialRecord {
	return &metarecord.UserScramCredentialRecord{
		Name: c.User, Mechanism: c.Mechanism, Iterations: c.Iterations,
		Salt: c.Salt, StoredKey: c.StoredKey, ServerKey: c.ServerKey,
	}
}

func (d *Delta) removeCredential(r *metarecord.RemoveUserScramCredentialRecord) error {
	d.access |= CredentialsChanged
	if !edit(&d.credentials, d.img.credentials).Delete(credentialKey{r.Mechanism, r.Name}) {
		return fmt.Errorf("user %q has no credential for mechanism %d", r.Name, r.Mechanism)
	}
	return nil
}

func (d *Delta) setACL(r *metarecord.AccessControlEntryRecord) {
	d.access |= ACLsChanged
	edit(&d.acls, d.img.acls).Set(r.Id, &ACL{
		ID: r.Id, ResourceType: r.ResourceType, ResourceName: strings.Clone(r.ResourceName),
		PatternType: r.PatternType, Principal: strings.Clone(r.Principal), Host: strings.Clone(r.Host),
		Operation: r.Operation, PermissionType: r.PermissionType,
	})
}

func (a *ACL) record() *metarecord.AccessControlEntryRecord {
	return &metarecord.AccessControlEntryRecord{
		Id: a.ID, ResourceType: a.ResourceType, ResourceName: a.ResourceName,
		PatternType: a.PatternType, Principal: a.Principal, Host: a.Host,
		Operation: a.Operation, PermissionType: a.PermissionType,
	}
}

func (d *Delta) removeACL(r *metarecord.RemoveAccessControlEntryRecord) error {
	d.access |= ACLsChanged
	if !edit(&d.acls, d.img.acls).Delete(r.Id) {
		return fmt.Errorf("there is no access control entry %s", r.Id)
	}
	return nil
}

func (d *Delta) setToken(r *metarecord.DelegationTokenRecord) {
	d.access |= TokensChanged
	t := &DelegationToken{
		TokenID: strings.Clone(r.TokenId), Owner: strings.Clone(r.Owner), Requester: strings.Clone(r.Requester),
		IssueTimestampMs: r.IssueTimestamp, MaxTimestampMs: r.MaxTimestamp, ExpirationTimestampMs: r.ExpirationTimestamp,
	}
	for _, renewer := range r.Renewers {
		t.Renewers = append(t.Renewers, strings.Clone(renewer))
	}
	edit(&d.tokens, d.img.tokens).Set(t.TokenID, t)
}

func (t *DelegationToken) record() *metarecord.DelegationTokenRecord {
	return &metarecord.DelegationTokenRecord{
		TokenId: t.TokenID, Owner: t.Owner, Requester: t.Requester, Renewers: t.Renewers,
		IssueTimestamp: t.IssueTimestampMs, MaxTimestamp: t.MaxTimestampMs, ExpirationTimestamp: t.ExpirationTimestampMs,
	}
}

func (d *Delta) removeToken(r *metarecord.RemoveDelegationTokenRecord) error {
	d.access |= TokensChanged
	if !edit(&d.tokens, d.img.tokens).Delete(r.TokenId) {
		return fmt.Errorf("there is no delegation token %q", r.TokenId)
	}
	return nil
}
