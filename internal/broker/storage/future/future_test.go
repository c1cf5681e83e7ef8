package future

import (
	"errors"
	"slices"
	"testing"

	"github.com/naru-stream/naru/internal/vfs"
)

// source makes a file with these bytes.
func source(t *testing.T, fsys *vfs.Mem, name, content string) vfs.File {
	t.Helper()
	f, err := fsys.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte(content), 0); err != nil {
		t.Fatal(err)
	}
	return f
}

func contents(t *testing.T, fsys *vfs.Mem, names ...string) (out []string) {
	t.Helper()
	for _, name := range names {
		b, err := vfs.ReadFile(fsys, name)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, string(b))
	}
	return out
}

func TestACopyGrowsByWhatItsFilesHaveMore(t *testing.T) {
	fsys := vfs.NewMem()
	if err := fsys.MkdirAll("d/of-an-earlier-time"); err != nil {
		t.Fatal(err)
	}
	spent := 0
	c, err := New(fsys, "d", func(bytes int) error { spent += bytes; return nil })
	if err != nil {
		t.Fatal(err)
	}
	f := source(t, fsys, "log", "abcdef")
	source(t, fsys, "index", "12")
	for _, size := range []int64{0, 2, 5, 5, 1} {
		if err := c.Extend("log", f, size); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(c.Put("index", "index"), c.Put("index", "index"), c.Put("none", "none")); err != nil {
		t.Fatal(err)
	}
	size, ok := c.Size("log")
	if _, none := c.Size("none"); size != 5 || !ok || none || c.Total() != 7 || spent != 9 {
		t.Errorf("size %d, %t, %t; in all %d, %d spent", size, ok, none, c.Total(), spent)
	}
	if err := c.Promote("e"); err != nil {
		t.Fatal(err)
	}
	lost := fsys.CrashClone(vfs.Crash{})
	if got := contents(t, lost, "e/log", "e/index"); !slices.Equal(got, []string{"abcde", "12"}) || len(lost.Files()) != 4 {
		t.Errorf("after a power loss: %q in %v", got, lost.Files())
	}
}

func TestAFileThatChangedIsCopiedAnew(t *testing.T) {
	fsys := vfs.NewMem()
	c, err := New(fsys, "d", func(int) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	err = errors.Join(c.Extend("log", source(t, fsys, "log", "abc"), 3), c.Forget("log"), c.Forget("log"),
		c.Extend("log", source(t, fsys, "log", "xy"), 2))
	if got := contents(t, fsys, "d/log"); err != nil || got[0] != "xy" {
		t.Errorf("%q, %v", got, err)
	}
	if err := c.Remove(); err != nil || slices.Contains(fsys.Files(), "d/log") {
		t.Errorf("removed: %v, %v", fsys.Files(), err)
	}
}

func TestWhoeverSpendsEndsTheCopying(t *testing.T) {
	fsys, enough := vfs.NewMem(), errors.New("enough")
	c, err := New(fsys, "d", func(int) error { return enough })
	if err != nil {
		t.Fatal(err)
	}
	f := source(t, fsys, "log", "abc")
	if err := c.Extend("log", f, 3); !errors.Is(err, enough) {
		t.Error(err)
	}
	if err := c.Put("log", "log"); !errors.Is(err, enough) {
		t.Error(err)
	}
	if _, ok := c.Size("log"); ok {
		t.Error("what was not copied is counted")
	}
}

func TestACopyThatCannotBePromotedIsACopyStill(t *testing.T) {
	fsys := vfs.NewMem()
	c, err := New(fsys, "p/d", func(int) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Extend("log", source(t, fsys, "log", "abc"), 3); err != nil {
		t.Fatal(err)
	}
	broken := errors.New("broken")
	fsys.SetHook(func(op vfs.Op) error {
		if op.Kind == vfs.OpSyncDir && op.Name == "p" {
			return broken
		}
		return nil
	})
	if err := c.Promote("p/e"); !errors.Is(err, broken) {
		t.Error(err)
	}
	if !slices.Contains(fsys.Files(), "p/d/log") {
		t.Errorf("there is %v", fsys.Files())
	}
}
