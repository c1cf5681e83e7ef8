// Package datadir recognises a log directory: whose it is, what wrote it, and
// whether another process uses it.
//
// Purpose: a directory is opened only by the node it belongs to. One of Apache
// Kafka, of a newer Naru, of another cluster or node, or in use by another
// process is refused with an error that says what it is and what helps; an empty
// one becomes a new directory. Health says whether an opened one may be written to.
//
// Neighbours: package storage opens each of log.dirs through it before anything
// else is read.
//
// Invariants: a refused directory is not changed in any way. The identity never
// changes once written.
//
// The identity is the text file naru.meta, lines in this order; the checksum is
// the CRC-32C, in hexadecimal, of all bytes before its line:
//
//	format.version=1
//	cluster.id=<22 characters>
//	node.id=1
//	directory.id=<22 characters>
//	checksum=89abcdef
package datadir

import (
	"crypto/rand"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"path"
	"strconv"
	"strings"

	"github.com/naru-stream/naru/internal/kafka/wire"
	"github.com/naru-stream/naru/internal/vfs"
)

// FormatVersion is the version of the whole directory's layout.
const FormatVersion = 1

const (
	metaFile      = "naru.meta"
	lockFile      = ".lock"
	kafkaMetaFile = "meta.properties"
	// ManifestFile is the manifest's name: a directory with it but without
	// identity is a damaged one, not a new one.
	ManifestFile = "naru.manifest"
)

// Identity says whose directory it is.
type Identity struct {
	// ClusterID is the cluster's id as Kafka prints it.
	ClusterID string
	// NodeID is the node's id.
	NodeID int32
	// DirectoryID is unique to this directory (KIP-858).
	DirectoryID wire.UUID
}

// Reason tells why a directory was refused.
type Reason string

// The reasons for which a directory is refused.
const (
	Locked       Reason = "locked"
	ApacheKafka  Reason = "apache-kafka"
	Newer        Reason = "newer-format"
	OtherCluster Reason = "other-cluster"
	OtherNode    Reason = "other-node"
	Damaged      Reason = "damaged-identity"
	Twice        Reason = "partition-twice"
)

// RefusedError says why a directory cannot be used, and what helps.
type RefusedError struct {
	// Dir is the directory.
	Dir string
	// Reason is for programs.
	Reason Reason
	// What says what the directory is.
	What string
	// Help says what to do.
	Help string
	// PID is the process that holds a locked directory, 0 if unknown.
	PID int
}

// Error implements error.
func (e *RefusedError) Error() string {
	return fmt.Sprintf("data directory %s %s; %s", e.Dir, e.What, e.Help)
}

// Dir is an opened directory; it is locked until Close.
type Dir struct {
	Identity
	// Path is the directory.
	Path string
	// New tells that it was formatted just now.
	New bool

	lock io.Closer
}

// Peek returns the identity of a directory without locking or changing it, and
// false if it has none.
func Peek(fsys vfs.FS, dir string) (Identity, bool, error) {
	b, err := vfs.ReadFile(fsys, path.Join(dir, metaFile))
	if errors.Is(err, fs.ErrNotExist) {
		return Identity{}, false, nil
	}
	if err != nil {
		return Identity{}, false, fmt.Errorf("reading the identity of %s: %w", dir, err)
	}
	id, err := parse(dir, string(b))
	return id, err == nil, err
}

// Open locks a directory and checks that it belongs to the cluster and the node;
// one that does not exist or is empty is formatted for them.
func Open(fsys vfs.FS, dir, clusterID string, nodeID int32) (*Dir, error) {
	if err := fsys.MkdirAll(dir); err != nil {
		return nil, fmt.Errorf("making data directory %s: %w", dir, err)
	}
	if err := checkForeign(fsys, dir); err != nil {
		return nil, err
	}
	lock, err := fsys.Lock(path.Join(dir, lockFile))
	if err != nil {
		return nil, lockRefused(dir, err)
	}
	d := &Dir{Path: dir, lock: lock}
	if err := d.identify(fsys, clusterID, nodeID); err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	return d, nil
}

// Close gives the lock back.
func (d *Dir) Close() error { return d.lock.Close() }

func lockRefused(dir string, err error) error {
	var locked *vfs.LockedError
	if !errors.As(err, &locked) {
		return fmt.Errorf("locking data directory %s: %w", dir, err)
	}
	holder := "another process"
	if locked.PID != 0 {
		holder = "process " + strconv.Itoa(locked.PID)
	}
	return &RefusedError{
		Dir: dir, Reason: Locked, PID: locked.PID, What: "is in use by " + holder,
		Help: "stop it, or give this node its own directory with --override log.dirs=DIR",
	}
}

func checkForeign(fsys vfs.FS, dir string) error {
	ours, err := vfs.Exists(fsys, path.Join(dir, metaFile))
	if err != nil || ours {
		return err
	}
	kafkas, err := vfs.Exists(fsys, path.Join(dir, kafkaMetaFile))
	if err != nil {
		return err
	}
	if kafkas {
		return &RefusedError{
			Dir: dir, Reason: ApacheKafka, What: "was written by Apache Kafka (it has a " + kafkaMetaFile + ")",
			Help: "choose an empty directory with --override log.dirs=DIR",
		}
	}
	left, err := vfs.Exists(fsys, path.Join(dir, ManifestFile))
	if err != nil {
		return err
	}
	if left {
		return damaged(dir, "has a manifest but no "+metaFile)
	}
	return nil
}

func damaged(dir, what string) error {
	return &RefusedError{
		Dir: dir, Reason: Damaged, What: what,
		Help: "restore " + metaFile + " from a backup, or choose another directory with --override log.dirs=DIR",
	}
}

func (d *Dir) identify(fsys vfs.FS, clusterID string, nodeID int32) error {
	id, found, err := Peek(fsys, d.Path)
	if err != nil {
		return err
	}
	if !found {
		return d.format(fsys, clusterID, nodeID)
	}
	d.Identity = id
	switch {
	case id.ClusterID != clusterID:
		return &RefusedError{
			Dir: d.Path, Reason: OtherCluster, What: fmt.Sprintf("belongs to cluster %s, not to %s", id.ClusterID, clusterID),
			Help: "start with --override cluster.id=" + id.ClusterID + ", or choose another directory with --override log.dirs=DIR",
		}
	case id.NodeID != nodeID:
		return &RefusedError{
			Dir: d.Path, Reason: OtherNode, What: fmt.Sprintf("belongs to node %d, not to node %d", id.NodeID, nodeID),
			Help: fmt.Sprintf("start with --override node.id=%d, or choose another directory with --override log.dirs=DIR", id.NodeID),
		}
	}
	return nil
}

func (d *Dir) format(fsys vfs.FS, clusterID string, nodeID int32) error {
	id, err := NewID()
	if err != nil {
		return err
	}
	d.Identity = Identity{ClusterID: clusterID, NodeID: nodeID, DirectoryID: id}
	d.New = true
	if err := vfs.WriteFileAtomic(fsys, path.Join(d.Path, metaFile), encode(d.Identity)); err != nil {
		return fmt.Errorf("formatting data directory %s: %w", d.Path, err)
	}
	if err := fsys.SyncDir(path.Dir(d.Path)); err != nil {
		return fmt.Errorf("syncing the parent of data directory %s: %w", d.Path, err)
	}
	return nil
}

// NewID returns a random id of a directory or a cluster. Its text never begins
// with a dash, so that it can be an argument of a command.
func NewID() (wire.UUID, error) {
	for {
		var id wire.UUID
		if _, err := rand.Read(id[:]); err != nil {
			return wire.UUID{}, fmt.Errorf("making an id: %w", err)
		}
		id[6], id[8] = id[6]&0x0f|0x40, id[8]&0x3f|0x80 // RFC 9562 version 4
		if !strings.HasPrefix(id.String(), "-") {
			return id, nil
		}
	}
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func encode(id Identity) []byte {
	text := fmt.Sprintf("format.version=%d\ncluster.id=%s\nnode.id=%d\ndirectory.id=%s\n",
		FormatVersion, id.ClusterID, id.NodeID, id.DirectoryID)
	return fmt.Appendf(nil, "%schecksum=%08x\n", text, crc32.Checksum([]byte(text), castagnoli))
}

func parse(dir, text string) (Identity, error) {
	version, rest, _ := strings.Cut(text, "\n")
	n, err := strconv.Atoi(strings.TrimPrefix(version, "format.version="))
	if err == nil && n > FormatVersion && strings.Contains(rest, "checksum=") {
		return Identity{}, &RefusedError{
			Dir: dir, Reason: Newer, What: fmt.Sprintf("has format version %d, this program knows %d", n, FormatVersion),
			Help: "start it with the newer program that wrote it",
		}
	}
	at := strings.LastIndex(text, "checksum=")
	if err != nil || at < 0 || text[at:] != fmt.Sprintf("checksum=%08x\n", crc32.Checksum([]byte(text[:at]), castagnoli)) {
		return Identity{}, damaged(dir, "has a damaged "+metaFile)
	}
	values := map[string]string{}
	for line := range strings.Lines(text[:at]) {
		key, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
		values[key] = value
	}
	node, err := strconv.ParseInt(values["node.id"], 10, 32)
	if err != nil {
		return Identity{}, damaged(dir, "has a node.id in "+metaFile+" that is no number")
	}
	id, err := wire.ParseUUID(values["directory.id"])
	if err != nil {
		return Identity{}, damaged(dir, "has a directory.id in "+metaFile+" that is no id")
	}
	return Identity{ClusterID: values["cluster.id"], NodeID: int32(node), DirectoryID: id}, nil
}
