package datadir

import (
	"errors"
	"testing"

	"github.com/naru-stream/naru/internal/vfs"
)

func opened(t *testing.T, fsys vfs.FS) *Dir {
	t.Helper()
	d, err := Open(fsys, "data", "cluster-a", 1)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func refused(t *testing.T, err error, want Reason) {
	t.Helper()
	var refused *RefusedError
	if !errors.As(err, &refused) || refused.Reason != want {
		t.Fatalf("got %v, want it refused as %s", err, want)
	}
	if refused.Help == "" || refused.What == "" {
		t.Fatalf("no help in %q", err)
	}
}

func TestANewDirectoryKeepsItsIdentity(t *testing.T) {
	m := vfs.NewMem()
	d := opened(t, m)
	if !d.New || d.DirectoryID == ([16]byte{}) {
		t.Fatalf("%+v", d)
	}
	_, err := Open(m, "data", "cluster-a", 1)
	refused(t, err, Locked)
	again := opened(t, m.CrashClone(vfs.Crash{}))
	if again.New || again.Identity != d.Identity {
		t.Fatalf("%+v, want %+v", again, d)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	_, err = Open(m, "data", "cluster-b", 1)
	refused(t, err, OtherCluster)
	_, err = Open(m, "data", "cluster-a", 2)
	refused(t, err, OtherNode)
	opened(t, m)
}

func TestForeignAndDamagedDirectoriesAreRefused(t *testing.T) {
	m := vfs.NewMem()
	write := func(name, text string) {
		if err := m.MkdirAll("data"); err != nil {
			t.Fatal(err)
		}
		if err := vfs.WriteFileSynced(m, "data/"+name, []byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	write("meta.properties", "version=1\n")
	_, err := Open(m, "data", "c", 1)
	refused(t, err, ApacheKafka)

	m = vfs.NewMem()
	write("naru.manifest", "")
	_, err = Open(m, "data", "c", 1)
	refused(t, err, Damaged)

	m = vfs.NewMem()
	write("naru.meta", "format.version=2\nsomething=else\nchecksum=00000000\n")
	_, err = Open(m, "data", "c", 1)
	refused(t, err, Newer)

	good := encode(Identity{ClusterID: "c", NodeID: 1})
	for i := range good {
		m = vfs.NewMem()
		bad := append([]byte(nil), good...)
		bad[i] ^= 2
		write("naru.meta", string(bad))
		var r *RefusedError
		if _, err = Open(m, "data", "c", 1); !errors.As(err, &r) {
			t.Fatalf("byte %d changed: %v", i, err)
		}
	}
}
