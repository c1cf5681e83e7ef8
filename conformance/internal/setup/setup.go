// Package setup brings every client under test into the cache directory through the ordinary package
// managers (apt-get, pip, npm, mvn, go), once: a step is repeated only when what it installs changes.
package setup

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/naru-stream/naru/conformance/internal/proc"
	"github.com/naru-stream/naru/conformance/internal/program"
)

// The versions under test; change them here.
const (
	KafkaVersion       = "4.3.1"
	kafkaPythonVersion = "3.0.12"
	aiokafkaVersion    = "0.14.0"
)

// JavaVersions lists the releases of kafka-clients, oldest first.
var JavaVersions = []string{"1.1.1", "2.7.0", KafkaVersion}

// jvm keeps Java programs small and quick to start.
var jvm = []string{"java", "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto"}

// installLimit bounds one installation step.
const installLimit = 10 * time.Minute

// Env is where things are.
type Env struct {
	Root  string // the conformance module
	Cache string // everything downloaded or built
}

// New returns an Env for the module at root.
func New(root string) (Env, error) {
	root, err := filepath.Abs(root)
	if err != nil {
		return Env{}, err
	}
	if _, err := os.Stat(filepath.Join(root, "maven", "kafka.xml")); err != nil {
		return Env{}, fmt.Errorf("%s is not the conformance module (run from its folder or give -root): %w", root, err)
	}
	e := Env{Root: root, Cache: filepath.Join(root, ".cache")}
	return e, os.MkdirAll(e.Cache, 0o755)
}

// once runs step unless a former run did so with the same inputs (file contents or words).
func (e Env) once(name string, inputs []string, step func() error) error {
	sum := sha256.New()
	for _, in := range inputs {
		content, err := os.ReadFile(in)
		if err != nil {
			content = []byte(in)
		}
		fmt.Fprintf(sum, "%d:", len(content))
		sum.Write(content)
	}
	want := hex.EncodeToString(sum.Sum(nil))
	stamp := filepath.Join(e.Cache, name+".stamp")
	if have, err := os.ReadFile(stamp); err == nil && string(have) == want {
		return nil
	}
	if err := step(); err != nil {
		return fmt.Errorf("setting up %s: %w", name, err)
	}
	if err := os.MkdirAll(filepath.Dir(stamp), 0o755); err != nil {
		return err
	}
	return os.WriteFile(stamp, []byte(want), 0o644)
}

func (e Env) must(ctx context.Context, dir string, argv ...string) error {
	_, err := proc.Must(ctx, proc.Command{Argv: argv, Dir: dir, Timeout: installLimit})
	return err
}

// ClassPath resolves a pom of folder maven at a version and returns its class path.
func (e Env) ClassPath(ctx context.Context, pom, version string) (string, error) {
	file := filepath.Join(e.Cache, "maven", pom+"-"+version+".txt")
	if cp, err := os.ReadFile(file); err == nil && allExist(string(cp)) {
		return string(cp), nil
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return "", err
	}
	err := e.must(ctx, e.Cache, "mvn", "-q", "-B", "-f", filepath.Join(e.Root, "maven", pom+".xml"), "-Dkafka.version="+version,
		"org.apache.maven.plugins:maven-dependency-plugin:3.6.1:build-classpath", "-Dmdep.outputFile="+file)
	if err != nil {
		return "", fmt.Errorf("resolving %s %s: %w", pom, version, err)
	}
	cp, err := os.ReadFile(file)
	return string(cp), err
}

func allExist(classPath string) bool {
	for _, jar := range strings.Split(strings.TrimSpace(classPath), ":") {
		if _, err := os.Stat(jar); err != nil {
			return false
		}
	}
	return classPath != ""
}

// KafkaClassPath returns the class path of the control broker and its tools.
func (e Env) KafkaClassPath(ctx context.Context) (string, error) {
	return e.ClassPath(ctx, "kafka", KafkaVersion)
}

// JavaTool returns the start of a command line that runs a main class of Kafka's tools.
func (e Env) JavaTool(ctx context.Context) ([]string, error) {
	cp, err := e.KafkaClassPath(ctx)
	if err != nil {
		return nil, err
	}
	config := filepath.Join(e.Cache, "tools-log4j2.xml")
	text := `<Configuration status="ERROR"><Appenders><Console name="err" target="SYSTEM_ERR"/></Appenders>` +
		`<Loggers><Root level="ERROR"><AppenderRef ref="err"/></Root></Loggers></Configuration>`
	if err := os.WriteFile(config, []byte(text), 0o644); err != nil {
		return nil, err
	}
	java := append(append([]string{}, jvm...), "-Dlog4j2.configurationFile="+config, "-cp", cp)
	// Classes that a first run loaded are shared with all later ones: a third of a tool's time is loading them.
	archive := filepath.Join(e.Cache, "tools-"+KafkaVersion+".jsa")
	err = e.once("tools-archive", []string{cp}, func() error {
		hurry := filepath.Join(e.Cache, "hurry.properties")
		if err := os.WriteFile(hurry, []byte("default.api.timeout.ms=1500\nrequest.timeout.ms=1000\n"), 0o644); err != nil {
			return err
		}
		// Nothing listens on port 1: the tool loads its classes, gives up and leaves the archive.
		_, err := proc.Run(ctx, proc.Command{Timeout: time.Minute, Argv: append(java[:len(java):len(java)], "-XX:ArchiveClassesAtExit="+archive,
			"org.apache.kafka.tools.GetOffsetShell", "--bootstrap-server", "localhost:1", "--topic", "none", "--command-config", hurry)})
		return err
	})
	return append(java, "-XX:SharedArchiveFile="+archive, "-Xlog:disable"), err
}

// Java compiles the Java scenarios against one release of kafka-clients.
func (e Env) Java(ctx context.Context, version string) (program.Program, error) {
	cp, err := e.ClassPath(ctx, "clients", version)
	if err != nil {
		return program.Program{}, err
	}
	compat := "v4"
	switch {
	case strings.HasPrefix(version, "1."):
		compat = "v1"
	case strings.HasPrefix(version, "2."):
		compat = "v2"
	}
	var sources []string
	for _, dir := range []string{"src", compat} {
		found, err := filepath.Glob(filepath.Join(e.Root, "clients", "java", dir, "*.java"))
		if err != nil {
			return program.Program{}, err
		}
		sources = append(sources, found...)
	}
	classes := filepath.Join(e.Cache, "java", version)
	err = e.once("java/"+version, append([]string{cp}, sources...), func() error {
		return e.must(ctx, e.Cache, append([]string{"javac", "-Xlint:-deprecation", "--release", "11", "-cp", cp, "-d", classes}, sources...)...)
	})
	argv := append(append([]string{}, jvm...), "-cp", classes+":"+cp, "Main")
	return program.Program{Client: "java-" + version, Argv: argv, Dir: e.Cache, Shares: strings.HasPrefix(version, "4.")}, err
}

// KafkaTests compiles the classes that stand in for Kafka's test cluster and returns the start of a command
// line that runs Kafka's own integration tests with them.
func (e Env) KafkaTests(ctx context.Context) ([]string, error) {
	cp, err := e.ClassPath(ctx, "kafkatests", KafkaVersion)
	if err != nil {
		return nil, err
	}
	cp = strings.TrimSpace(cp)
	var sources []string
	err = filepath.WalkDir(filepath.Join(e.Root, "kafkatests", "java"), func(path string, d fs.DirEntry, err error) error {
		if err == nil && filepath.Ext(path) == ".java" {
			sources = append(sources, path)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	classes := filepath.Join(e.Cache, "kafkatests", "classes")
	err = e.once("kafkatests/classes", append([]string{cp}, sources...), func() error {
		if err := os.RemoveAll(classes); err != nil {
			return err
		}
		return e.must(ctx, e.Cache, append([]string{"javac", "--release", "17", "-proc:none", "-nowarn", "-cp", cp, "-d", classes}, sources...)...)
	})
	if err != nil {
		return nil, err
	}
	config := filepath.Join(e.Cache, "kafkatests", "log4j2.xml")
	text := `<Configuration status="ERROR"><Appenders><Console name="out"><PatternLayout pattern="%d{HH:mm:ss.SSS} %p %m (%c)%n"/></Console></Appenders>` +
		`<Loggers><Root level="ERROR"><AppenderRef ref="out"/></Root></Loggers></Configuration>`
	if err := os.WriteFile(config, []byte(text), 0o644); err != nil {
		return nil, err
	}
	// A test class has many clients in one JVM, and Kafka Streams its stores.
	return []string{"java", "-Xmx1500m", "-Dlog4j2.configurationFile=" + config, "-cp", classes + ":" + cp}, nil
}

// Python returns one of the Python clients, installed in a virtual environment of its own.
func (e Env) Python(ctx context.Context, client string) (program.Program, error) {
	packages := map[string][]string{
		"kafka-python-2.0.2": {"kafka-python==2.0.2", "lz4==4.4.5", "python-snappy==0.7.3", "zstandard==0.25.0", "crc32c==2.9.post0"},
		"kafka-python":       {"kafka-python==" + kafkaPythonVersion, "lz4==4.4.5", "python-snappy==0.7.3", "zstandard==0.25.0", "crc32c==2.9.post0"},
		"aiokafka":           {"aiokafka==" + aiokafkaVersion, "cramjam==2.14.0"},
	}[client]
	venv := filepath.Join(e.Cache, "venv-"+client)
	python := filepath.Join(venv, "bin", "python")
	err := e.once("venv-"+client, packages, func() error {
		if err := e.must(ctx, e.Cache, "python3", "-m", "venv", "--clear", venv); err != nil {
			return err
		}
		return e.must(ctx, e.Cache, append([]string{python, "-m", "pip", "install", "-q", "--disable-pip-version-check"}, packages...)...)
	})
	name := strings.ReplaceAll(strings.TrimSuffix(client, "-2.0.2"), "-", "_") // both releases run one script
	script := filepath.Join(e.Root, "clients", "python", name+"_client.py")
	return program.Program{Client: client, Argv: []string{python, "-B", script}, Dir: e.Cache}, err
}

// KafkaJS installs kafkajs and the codecs it takes as plug-ins.
func (e Env) KafkaJS(ctx context.Context) (program.Program, error) {
	src, dir := filepath.Join(e.Root, "clients", "kafkajs"), filepath.Join(e.Cache, "kafkajs")
	files := []string{filepath.Join(src, "package.json"), filepath.Join(src, "main.js")}
	err := e.once("kafkajs", files, func() error {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
		for _, f := range files {
			content, err := os.ReadFile(f)
			if err != nil {
				return err
			}
			if err := os.WriteFile(filepath.Join(dir, filepath.Base(f)), content, 0o644); err != nil {
				return err
			}
		}
		return e.must(ctx, dir, "npm", "install", "--no-audit", "--no-fund", "--no-package-lock")
	})
	return program.Program{Client: "kafkajs", Argv: []string{"node", filepath.Join(dir, "main.js")}, Dir: dir,
		Env: []string{"KAFKAJS_NO_PARTITIONER_WARNING=1"}}, err
}

// Franz builds the franz-go scenarios.
func (e Env) Franz(ctx context.Context) (program.Program, error) {
	bin := filepath.Join(e.Cache, "franz")
	err := e.must(ctx, e.Root, "go", "build", "-o", bin, "./clients/franz")
	return program.Program{Client: "franz-go", Argv: []string{bin}, Dir: e.Cache, Shares: true}, err
}

// Confluent builds the confluent-kafka-go scenarios, a module of their own because they need cgo.
func (e Env) Confluent(ctx context.Context) (program.Program, error) {
	bin := filepath.Join(e.Cache, "confluent")
	build := proc.Command{Argv: []string{"go", "build", "-o", bin, "."}, Dir: filepath.Join(e.Root, "clients", "confluent"),
		Env: []string{"CGO_ENABLED=1"}, Timeout: installLimit}
	_, err := proc.Must(ctx, build)
	return program.Program{Client: "confluent-kafka-go", Argv: []string{bin}, Dir: e.Cache}, err
}

// Naru builds the naru command of this source tree.
func (e Env) Naru(ctx context.Context) (string, error) {
	bin := filepath.Join(e.Cache, "naru")
	build := proc.Command{Argv: []string{"go", "build", "-o", bin, "./cmd/naru"}, Dir: filepath.Dir(e.Root),
		Env: []string{"CGO_ENABLED=0"}, Timeout: installLimit}
	_, err := proc.Must(ctx, build)
	return bin, err
}

// Kcat installs Debian's kcat if it is absent and returns its path.
func (e Env) Kcat(ctx context.Context) (string, error) {
	if path, err := exec.LookPath("kcat"); err == nil {
		return path, nil
	}
	if err := e.aptInstall(ctx, "kcat"); err != nil {
		return "", err
	}
	return exec.LookPath("kcat")
}

func (e Env) aptInstall(ctx context.Context, name string) error {
	argv := []string{"apt-get", "install", "-y", "-q", "--no-install-recommends", name}
	if err := e.must(ctx, e.Cache, argv...); err == nil {
		return nil
	}
	if err := e.must(ctx, e.Cache, "apt-get", "update", "-q"); err != nil {
		return err
	}
	return e.must(ctx, e.Cache, argv...)
}

// Words returns a file of 1,000,000 different lines: the head of the Polish word list that Debian's
// package wpolish ships.
func (e Env) Words(ctx context.Context) (string, error) {
	dir := filepath.Join(e.Cache, "wpolish")
	out := filepath.Join(dir, "words-1000000.txt")
	err := e.once("wpolish", []string{"1000000"}, func() error {
		if err := os.MkdirAll(dir, 0o777); err != nil {
			return err
		}
		script := `apt-get download -q wpolish || { apt-get update -q && apt-get download -q wpolish; }
dpkg-deb -x wpolish_*.deb tree && head -n 1000000 tree/usr/share/dict/polish > words-1000000.txt && rm -rf tree wpolish_*.deb
test "$(wc -l < words-1000000.txt)" = 1000000`
		return e.must(ctx, dir, "sh", "-e", "-c", script)
	})
	return out, err
}
