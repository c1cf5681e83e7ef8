package lint

import (
	"bufio"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
)

const (
	root       = "../.."
	module     = "github.com/naru-stream/naru"
	maxFile    = 800
	maxFunc    = 70
	maxPackage = 5000
)

// source is one parsed Go file of the module.
type source struct {
	path      string // relative to the module
	pkg       string // directory relative to the module, "." for the root
	test      bool
	generated bool
	lines     int
	file      *ast.File
}

// tree is the module's code, parsed.
type tree struct {
	fset    *token.FileSet
	sources []source
	err     error
}

// parsed is every Go file of the module, read once for all tests.
var parsed = sync.OnceValue(parse)

func load(t *testing.T) (*token.FileSet, []source) {
	t.Helper()
	p := parsed()
	if p.err != nil {
		t.Fatal(p.err)
	}
	return p.fset, p.sources
}

// parse reads every Go file of the module; nested modules are left out.
func parse() tree {
	p := tree{fset: token.NewFileSet()}
	p.err = filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(root, path)
		if d.IsDir() {
			if rel != "." && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata" || d.Name() == "node_modules") {
				return filepath.SkipDir
			}
			if _, err := os.Stat(filepath.Join(path, "go.mod")); err == nil && rel != "." {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(path, ".go") {
			return nil
		}
		f, err := parser.ParseFile(p.fset, path, nil, parser.ParseComments)
		if err != nil {
			return fmt.Errorf("parsing %s: %w", rel, err)
		}
		p.sources = append(p.sources, source{
			path: rel, pkg: filepath.ToSlash(filepath.Dir(rel)), file: f,
			test:      strings.HasSuffix(rel, "_test.go"),
			generated: ast.IsGenerated(f),
			lines:     p.fset.File(f.Pos()).LineCount(),
		})
		return nil
	})
	return p
}

type place struct{ layer, column int }

// layers reads layers.txt and answers where a package stands.
func layers(t *testing.T) func(pkg string) (place, bool) {
	t.Helper()
	f, err := os.Open("layers.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	exact, below := map[string]place{}, map[string]place{}
	for sc := bufio.NewScanner(f); sc.Scan(); {
		words := strings.Fields(sc.Text())
		if len(words) == 0 || strings.HasPrefix(words[0], "#") {
			continue
		}
		layer, err := strconv.Atoi(words[0])
		if err != nil {
			t.Fatalf("layers.txt: %q does not start with a layer's number", sc.Text())
		}
		for i, w := range words[1:] {
			if dir, ok := strings.CutSuffix(w, "/*"); ok {
				below[dir] = place{layer, i}
			} else {
				exact[w] = place{layer, i}
			}
		}
	}
	return func(pkg string) (place, bool) {
		if p, ok := exact[pkg]; ok {
			return p, true
		}
		for dir, p := range below {
			if strings.HasPrefix(pkg, dir+"/") {
				return p, true
			}
		}
		return place{}, false
	}
}

func imports(s source) []string {
	var out []string
	for _, i := range s.file.Imports {
		path, _ := strconv.Unquote(i.Path.Value)
		out = append(out, path)
	}
	return out
}

func TestPackagesImportOnlyLowerLayers(t *testing.T) {
	where := layers(t)
	_, sources := load(t)
	for _, s := range sources {
		if s.pkg == "internal/lint" {
			continue
		}
		from, ok := where(s.pkg)
		if !ok {
			t.Errorf("%s: package %s is not in internal/lint/layers.txt: give it a layer", s.path, s.pkg)
			continue
		}
		for _, path := range imports(s) {
			rel, ours := strings.CutPrefix(path, module)
			if !ours {
				continue
			}
			rel = strings.TrimPrefix(rel, "/")
			if rel == "" {
				rel = "."
			}
			if rel == s.pkg {
				continue // an external test of the package itself
			}
			to, ok := where(rel)
			if !ok || to.layer > from.layer || to.layer == from.layer && to.column >= from.column {
				t.Errorf("%s: %s (layer %d) must not import %s (layer %d)", s.path, s.pkg, from.layer, rel, to.layer)
			}
		}
	}
}

func TestFilesAndFunctionsStaySmall(t *testing.T) {
	fset, sources := load(t)
	perPackage := map[string]int{}
	for _, s := range sources {
		if s.generated {
			continue
		}
		if s.lines > maxFile {
			t.Errorf("%s has %d lines, more than %d: split it by idea", s.path, s.lines, maxFile)
		}
		if s.test {
			continue
		}
		perPackage[s.pkg] += s.lines
		for _, d := range s.file.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok || fn.Body == nil {
				continue
			}
			if n := fset.Position(fn.End()).Line - fset.Position(fn.Pos()).Line + 1; n > maxFunc {
				t.Errorf("%s: function %s has %d lines, more than %d", s.path, fn.Name.Name, n, maxFunc)
			}
		}
	}
	for pkg, n := range perPackage {
		if n > maxPackage {
			t.Errorf("package %s has %d lines, more than %d: it is more than one room", pkg, n, maxPackage)
		}
	}
}

func TestEveryPackageSaysWhatItIs(t *testing.T) {
	_, sources := load(t)
	documented := map[string]bool{}
	for _, s := range sources {
		if !s.test {
			documented[s.pkg] = documented[s.pkg] || s.file.Doc != nil
		}
	}
	for pkg, ok := range documented {
		if !ok {
			t.Errorf("package %s has no package comment: say its purpose, its neighbours, its invariants", pkg)
		}
	}
}

func TestEveryExportedNameIsDocumented(t *testing.T) {
	fset, sources := load(t)
	report := func(s source, pos token.Pos, name string) {
		t.Errorf("%s:%d: exported %s has no doc comment", s.path, fset.Position(pos).Line, name)
	}
	for _, s := range sources {
		if s.test || s.generated || strings.HasPrefix(s.pkg, "examples/") || s.file.Name.Name == "main" {
			continue
		}
		for _, d := range s.file.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				if d.Name.IsExported() && d.Doc == nil && exportedReceiver(d) {
					report(s, d.Pos(), d.Name.Name)
				}
			case *ast.GenDecl:
				for _, spec := range d.Specs {
					switch spec := spec.(type) {
					case *ast.TypeSpec:
						if spec.Name.IsExported() && d.Doc == nil && spec.Doc == nil {
							report(s, spec.Pos(), spec.Name.Name)
						}
					case *ast.ValueSpec:
						if spec.Names[0].IsExported() && d.Doc == nil && spec.Doc == nil && spec.Comment == nil {
							report(s, spec.Pos(), spec.Names[0].Name)
						}
					}
				}
			}
		}
	}
}

func exportedReceiver(d *ast.FuncDecl) bool {
	if d.Recv == nil {
		return true
	}
	typ := d.Recv.List[0].Type
	for {
		switch x := typ.(type) {
		case *ast.StarExpr:
			typ = x.X
		case *ast.IndexExpr:
			typ = x.X
		case *ast.IndexListExpr:
			typ = x.X
		case *ast.Ident:
			return x.IsExported()
		default:
			return true
		}
	}
}

// pure lists the rooms that must give the same answers to the same events, so
// that a seed replays a whole cluster.
var pure = []string{
	"internal/kafka/wire", "internal/kafka/protocol", "internal/kafka/metarecord", "internal/kafka/coordrecord",
	"internal/broker/storage/producerstate", "internal/broker/storage/pace", "internal/broker/storage/syncqueue", "internal/broker/storage/epochs",
	"internal/quorum/metadata",
	"internal/coordinator/group", "internal/coordinator/group/classic", "internal/coordinator/group/offsets", "internal/quorum/metadata/pmap", "internal/quorum/controller",
}

var impure = []string{"net", "os", "math/rand", "math/rand/v2", "crypto/rand", "syscall", "golang.org/x/sys/unix"}

func TestPureRoomsTouchNoClockNoSocketNoFile(t *testing.T) {
	_, sources := load(t)
	for _, s := range sources {
		if s.test || !slices.Contains(pure, s.pkg) {
			continue
		}
		for _, path := range imports(s) {
			if slices.Contains(impure, path) {
				t.Errorf("%s: the pure package %s imports %s", s.path, s.pkg, path)
			}
		}
		forbidCalls(t, s, "time", "Now", "Sleep", "After", "AfterFunc", "NewTimer", "NewTicker", "Since", "Until")
	}
}

func TestNoTestSleeps(t *testing.T) {
	_, sources := load(t)
	for _, s := range sources {
		if s.test && !slices.Contains(imports(s), "testing/synctest") {
			forbidCalls(t, s, "time", "Sleep")
		}
	}
}

func TestOnlyAssertPanics(t *testing.T) {
	fset, sources := load(t)
	for _, s := range sources {
		if s.test || s.pkg == "internal/assert" || s.pkg == "internal/kafka/generate" {
			continue
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			if call, ok := n.(*ast.CallExpr); ok {
				if id, ok := call.Fun.(*ast.Ident); ok && id.Name == "panic" {
					t.Errorf("%s:%d: panic outside internal/assert: return an error, or assert the invariant", s.path, fset.Position(n.Pos()).Line)
				}
			}
			return true
		})
	}
}

func TestNoInitFunctions(t *testing.T) {
	_, sources := load(t)
	for _, s := range sources {
		for _, d := range s.file.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil && fn.Name.Name == "init" {
				t.Errorf("%s: init function: build values where they are used", s.path)
			}
		}
	}
}

func forbidCalls(t *testing.T, s source, pkg string, names ...string) {
	t.Helper()
	ast.Inspect(s.file, func(n ast.Node) bool {
		sel, ok := n.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		if id, ok := sel.X.(*ast.Ident); ok && id.Name == pkg && id.Obj == nil && slices.Contains(names, sel.Sel.Name) {
			t.Errorf("%s: %s.%s is not allowed here", s.path, pkg, sel.Sel.Name)
		}
		return true
	})
}
