package consumer

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"regexp/syntax"
	"slices"
	"strings"

	"github.com/naru-stream/naru/internal/coordinator/group/classic"
	"github.com/naru-stream/naru/internal/kafka/coordrecord"
	"github.com/naru-stream/naru/internal/kafka/protocol"
)

// maxRegexInstructions is how large a regular expression may be once it is compiled.
const maxRegexInstructions = 8192

// regex is a regular expression and the topics that it stood for when it was last held
// against them.
type regex struct {
	members     int // how many are subscribed to it
	recorded    bool
	topics      []string // in order
	version     int64    // of the metadata
	timestampMs int64
	matcher     *regexp.Regexp // nil until it is needed
}

// CompileRegex compiles what a member subscribes to (RE2). It has to match the whole
// name of a topic. The error tells what is wrong with it, for the client.
func CompileRegex(expression string) (*regexp.Regexp, error) {
	if len(expression) > MaxRegexBytes {
		return nil, fmt.Errorf("it has %d bytes, %d are allowed", len(expression), MaxRegexBytes)
	}
	parsed, err := syntax.Parse(expression, syntax.Perl)
	if err != nil {
		var problem *syntax.Error
		if errors.As(err, &problem) {
			return nil, fmt.Errorf("%s: `%s`", problem.Code, problem.Expr)
		}
		return nil, err
	}
	program, err := syntax.Compile(parsed.Simplify())
	if err != nil {
		return nil, err
	}
	if len(program.Inst) > maxRegexInstructions {
		return nil, fmt.Errorf("it is too complex: %d steps, %d are allowed", len(program.Inst), maxRegexInstructions)
	}
	return regexp.Compile(`\A(?:` + expression + `)\z`)
}

// resolve holds a regular expression against all topics. The error tells that it stands
// for more than a record can hold.
func (g *Group) resolve(env classic.Env, expression string, matcher *regexp.Regexp) ([]string, error) {
	var topics []string
	bytes := 0
	g.around.Metadata.Topics(func(t Topic) bool {
		if matcher.MatchString(t.Name) {
			topics = append(topics, t.Name)
			bytes += len(t.Name) + 3
		}
		return bytes <= env.Config.MaxRecordBytes
	})
	if bytes > env.Config.MaxRecordBytes {
		return nil, fmt.Errorf("regular expression %q matches more topics than fit into %d bytes: %w",
			expression, env.Config.MaxRecordBytes, protocol.InvalidRegularExpression)
	}
	return topics, nil
}

// addRegex makes a regular expression known to which a member is about to subscribe.
func (g *Group) addRegex(env classic.Env, expression string) *refusal {
	if r := g.regexes[expression]; expression == "" || r != nil && r.recorded {
		return nil
	}
	matcher, err := CompileRegex(expression)
	if err != nil {
		return refuse(protocol.InvalidRegularExpression, "SubscribedTopicRegex `%s` is not a valid regular expression: %s.", expression, err)
	}
	if len(g.regexes) >= MaxRegexes {
		return refuse(protocol.InvalidRegularExpression, "The group has %d regular expressions, more are not allowed.", MaxRegexes)
	}
	topics, err := g.resolve(env, expression, matcher)
	if err != nil {
		return refuse(protocol.InvalidRegularExpression, "SubscribedTopicRegex `%s` matches too many topics.", expression)
	}
	g.regexes[strings.Clone(expression)] = &regex{matcher: matcher, topics: topics}
	g.writeRegex(env, expression)
	return nil
}

func (g *Group) writeRegex(env classic.Env, expression string) {
	r := g.regexes[expression]
	r.recorded, r.version, r.timestampMs = true, g.around.Metadata.Version(), env.NowMs
	env.Write(&coordrecord.ConsumerGroupRegularExpressionKey{GroupId: g.id, RegularExpression: expression}, &coordrecord.ConsumerGroupRegularExpressionValue{
		Topics: r.topics, Version: r.version, Timestamp: r.timestampMs,
	})
}

// dropRegexes forgets the regular expressions that nobody is subscribed to.
func (g *Group) dropRegexes(env classic.Env) {
	for _, expression := range slices.Sorted(maps.Keys(g.regexes)) {
		if g.regexes[expression].members == 0 {
			delete(g.regexes, expression)
			env.Forget(&coordrecord.ConsumerGroupRegularExpressionKey{GroupId: g.id, RegularExpression: expression})
		}
	}
}

// refresh takes in that topics have changed. It tells whether that makes a difference
// for the group.
func (g *Group) refresh(env classic.Env) bool {
	version := g.around.Metadata.Version()
	if version == g.checked {
		return false
	}
	if len(g.regexes) > 0 && env.NowMs < g.regexesMs+regexRefreshIntervalMs {
		return g.hash() != g.metadataHash // the topics that are new wait for their turn
	}
	g.checked, g.regexesMs = version, env.NowMs
	for _, expression := range slices.Sorted(maps.Keys(g.regexes)) {
		r := g.regexes[expression]
		if r.matcher == nil {
			matcher, err := CompileRegex(expression)
			if err != nil {
				continue // it was valid for who wrote the record; it stays as it is
			}
			r.matcher = matcher
		}
		topics, err := g.resolve(env, expression, r.matcher)
		if err == nil && !slices.Equal(topics, r.topics) {
			r.topics = topics
			g.writeRegex(env, expression)
		}
	}
	return g.hash() != g.metadataHash
}
