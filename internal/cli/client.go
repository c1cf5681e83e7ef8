package cli

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"syscall"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/naru-stream/naru/internal/kafka/config"
)

// connect opens a client and makes sure that a broker answers. The caller closes
// it.
func (a *app) connect(ctx context.Context, opts ...kgo.Opt) (*kgo.Client, error) {
	for _, b := range a.brokers {
		if _, _, err := net.SplitHostPort(b); err != nil && strings.Contains(b, ":") {
			return nil, usagef("broker %q is not valid: write host:port, such as localhost:9092", b)
		}
	}
	opts = append([]kgo.Opt{
		kgo.SeedBrokers(a.brokers...), kgo.ClientID("naru"),
		kgo.DialTimeout(a.timeout), kgo.RetryTimeout(a.timeout),
	}, opts...)
	cl, err := kgo.NewClient(opts...)
	if err != nil {
		return nil, &usageError{err}
	}
	ctx, cancel := context.WithTimeout(ctx, a.timeout)
	defer cancel()
	if err := cl.Ping(ctx); err != nil {
		cl.Close()
		return nil, a.unreachable(err)
	}
	return cl, nil
}

func (a *app) unreachable(err error) error {
	where := strings.Join(a.brokers, ", ")
	var dns *net.DNSError
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("no broker listens on %s: start one with 'naru', or name another with --bootstrap-server", where)
	case errors.As(err, &dns):
		return fmt.Errorf("the host in %s is unknown (%s): name another with --bootstrap-server", where, dns.Err)
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("no answer from %s within %s: is it a Kafka broker, and does it want TLS? (--timeout waits longer)", where, a.timeout)
	}
	return fmt.Errorf("reaching %s: %w", where, err)
}

// admin is connect with an administrative client on top. The returned context
// ends after the timeout; call done when finished.
func (a *app) admin(ctx context.Context) (adm *kadm.Client, bounded context.Context, done func(), err error) {
	cl, err := a.connect(ctx)
	if err != nil {
		return nil, nil, nil, err
	}
	bounded, cancel := context.WithTimeout(ctx, a.timeout)
	adm = kadm.NewClient(cl)
	adm.SetTimeoutMillis(int32(a.timeout.Milliseconds()))
	return adm, bounded, func() { cancel(); cl.Close() }, nil
}

// explain puts an answer's error and message in words.
func explain(err error, message string) error {
	var ke *kerr.Error
	if !errors.As(err, &ke) {
		return err
	}
	if message != "" {
		return fmt.Errorf("%s (%s)", message, ke.Message)
	}
	return fmt.Errorf("%s (%s)", strings.TrimSuffix(ke.Description, "."), ke.Message)
}

// failures gathers what went wrong for single topics, groups or partitions.
type failures []string

func (f *failures) add(what string, err error) { *f = append(*f, fmt.Sprintf("%s: %v", what, err)) }

func (f failures) err() error {
	if len(f) == 0 {
		return nil
	}
	return errors.New(strings.Join(f, "\n  "))
}

// checkTopicName applies Kafka's rules for names of topics.
func checkTopicName(name string) error {
	if name == "" || name == "." || name == ".." {
		return usagef("topic name %q is not allowed: use letters, digits, '.', '_' and '-'", name)
	}
	if len(name) > 249 {
		return usagef("topic name %.20q… has %d characters: at most 249 are allowed", name, len(name))
	}
	bad := func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '.' && r != '_' && r != '-'
	}
	if i := strings.IndexFunc(name, bad); i >= 0 {
		right := strings.Map(func(r rune) rune {
			if bad(r) {
				return '-'
			}
			return r
		}, name)
		return usagef("topic name %q contains %q: use letters, digits, '.', '_' and '-', such as %q", name, []rune(name[i:])[0], right)
	}
	return nil
}

func checkTopicNames(names []string) error {
	for _, n := range names {
		if err := checkTopicName(n); err != nil {
			return err
		}
	}
	return nil
}

// topics returns the details of the named topics; one that does not exist is an
// error with the nearest name.
func topics(ctx context.Context, adm *kadm.Client, names []string) (kadm.TopicDetails, error) {
	all, err := adm.ListTopicsWithInternal(ctx)
	if err != nil {
		return nil, fmt.Errorf("listing topics: %w", err)
	}
	out := kadm.TopicDetails{}
	var failed failures
	for _, n := range names {
		if d, ok := all[n]; ok {
			out[n] = d
		} else {
			failed.add(fmt.Sprintf("topic %q does not exist", n), suggestion(n, all.Names(), "'naru topic list' shows what there is"))
		}
	}
	return out, failed.err()
}

// suggestion words the nearest of some names, or else the other help.
func suggestion(word string, names []string, otherwise string) error {
	slices.Sort(names)
	if near := config.Nearest(word, names); near != "" {
		return fmt.Errorf("did you mean %q?", near)
	}
	return errors.New(otherwise)
}

// settings reads key=value flags of a scope. A known key is checked here; an
// unknown one is left to the cluster unless its name is near a known one.
func settings(scope config.Scope, pairs []string) (map[string]*string, error) {
	out := map[string]*string{}
	for _, pair := range pairs {
		key, value, err := config.ParseOverride(pair)
		if err != nil {
			return nil, usagef("setting %q is not of the form key=value", pair)
		}
		if err := checkKey(scope, key); err != nil {
			return nil, err
		}
		if k, ok := config.Lookup(scope, key); ok {
			if err := k.Check(value); err != nil {
				return nil, &usageError{err}
			}
		}
		out[key] = &value
	}
	return out, nil
}

func checkKey(scope config.Scope, key string) error {
	if _, ok := config.Lookup(scope, key); ok {
		return nil
	}
	if near := config.Suggest(scope, key); near != "" {
		return usagef("unknown %s setting %q: did you mean %s?", scope, key, near)
	}
	return nil
}
