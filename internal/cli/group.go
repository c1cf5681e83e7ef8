package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
)

func (a *app) groupCommand() *cobra.Command {
	return group("group", "List, describe, reset and delete consumer groups",
		a.groupList(), a.groupDescribe(), a.groupReset(), a.groupDelete())
}

func (a *app) groupList() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List groups",
		Example: "  naru group list\n  naru group list --json",
		Args:    arguments(0, 0, "no argument"),
		RunE:    func(cmd *cobra.Command, _ []string) error { return a.runGroupList(cmd.Context()) },
	}
	return a.clientFlags(cmd)
}

type groupSummary struct {
	Group        string `json:"group"`
	State        string `json:"state"`
	ProtocolType string `json:"protocol_type"`
	Coordinator  int32  `json:"coordinator"`
}

func (a *app) runGroupList(ctx context.Context) error {
	adm, ctx, done, err := a.admin(ctx)
	if err != nil {
		return err
	}
	defer done()
	found, err := adm.ListGroups(ctx)
	if err != nil {
		return fmt.Errorf("listing groups: %w", err)
	}
	out := struct {
		Groups []groupSummary `json:"groups"`
	}{[]groupSummary{}}
	for _, g := range found.Sorted() {
		out.Groups = append(out.Groups, groupSummary{g.Group, g.State, g.ProtocolType, g.Coordinator})
	}
	return a.show(out, func(w io.Writer) {
		var rows [][]string
		for _, g := range out.Groups {
			rows = append(rows, []string{g.Group, dash(g.State), dash(g.ProtocolType), strconv.Itoa(int(g.Coordinator))})
		}
		table(w, "GROUP STATE PROTOCOL-TYPE COORDINATOR", rows)
	})
}

func (a *app) groupDescribe() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "describe GROUP...",
		Short:   "Show the members of groups, their committed offsets and their lag",
		Example: "  naru group describe billing\n  naru group describe billing --json",
		Args:    arguments(1, -1, "the name of a group"),
		RunE:    func(cmd *cobra.Command, args []string) error { return a.runGroupDescribe(cmd.Context(), args) },
	}
	return a.clientFlags(cmd)
}

type groupDescription struct {
	groupSummary
	Assignor string        `json:"assignor"`
	Lag      int64         `json:"lag"`
	Members  []groupMember `json:"members"`
	Offsets  []groupOffset `json:"offsets"`
}

type groupMember struct {
	MemberID   string  `json:"member_id"`
	InstanceID *string `json:"instance_id"`
	ClientID   string  `json:"client_id"`
	Host       string  `json:"host"`
	Partitions int     `json:"partitions"`
}

// groupOffset has null for what is not known: nothing committed, no end offset.
type groupOffset struct {
	Topic     string  `json:"topic"`
	Partition int32   `json:"partition"`
	Committed *int64  `json:"committed_offset"`
	End       *int64  `json:"end_offset"`
	Lag       *int64  `json:"lag"`
	MemberID  *string `json:"member_id"`
	ClientID  *string `json:"client_id"`
	Host      *string `json:"host"`
	Error     string  `json:"error,omitempty"`
}

func (a *app) runGroupDescribe(ctx context.Context, names []string) error {
	adm, ctx, done, err := a.admin(ctx)
	if err != nil {
		return err
	}
	defer done()
	if err := haveGroups(ctx, adm, names); err != nil {
		return err
	}
	lags, err := adm.Lag(ctx, names...)
	if err != nil {
		return fmt.Errorf("describing groups: %w", err)
	}
	out := struct {
		Groups []groupDescription `json:"groups"`
	}{[]groupDescription{}}
	var failed failures
	for _, n := range names {
		g := lags[n]
		if err := g.Error(); err != nil {
			failed.add(fmt.Sprintf("group %q", n), explain(err, ""))
			continue
		}
		out.Groups = append(out.Groups, describeGroup(g))
	}
	err = a.show(out, func(w io.Writer) {
		for i, g := range out.Groups {
			if i > 0 {
				fmt.Fprintln(w)
			}
			g.print(w)
		}
	})
	return errors.Join(failed.err(), err)
}

// haveGroups fails with the nearest name if one of the groups does not exist.
func haveGroups(ctx context.Context, adm *kadm.Client, names []string) error {
	found, err := adm.ListGroups(ctx)
	if err != nil {
		return fmt.Errorf("listing groups: %w", err)
	}
	var failed failures
	for _, n := range names {
		if _, ok := found[n]; !ok {
			failed.add(fmt.Sprintf("group %q does not exist", n), suggestion(n, found.Groups(), "'naru group list' shows what there is"))
		}
	}
	return failed.err()
}

func describeGroup(g kadm.DescribedGroupLag) groupDescription {
	d := groupDescription{
		groupSummary: groupSummary{g.Group, g.State, g.ProtocolType, g.Coordinator.NodeID},
		Assignor:     g.Protocol, Lag: g.Lag.Total(), Members: []groupMember{}, Offsets: []groupOffset{},
	}
	for _, m := range g.Members {
		member := groupMember{MemberID: m.MemberID, InstanceID: m.InstanceID, ClientID: m.ClientID, Host: m.ClientHost}
		if assigned, ok := m.Assigned.AsConsumer(); ok {
			for _, t := range assigned.Topics {
				member.Partitions += len(t.Partitions)
			}
		}
		d.Members = append(d.Members, member)
	}
	for _, l := range g.Lag.Sorted() {
		o := groupOffset{Topic: l.Topic, Partition: l.Partition}
		if l.Commit.At >= 0 {
			o.Committed = &l.Commit.At
		}
		if l.End.Err == nil && l.End.Offset >= 0 {
			o.End = &l.End.Offset
		}
		if l.Lag >= 0 {
			o.Lag = &l.Lag
		}
		if l.Err != nil {
			o.Error = l.Err.Error()
		}
		if l.Member != nil {
			o.MemberID, o.ClientID, o.Host = &l.Member.MemberID, &l.Member.ClientID, &l.Member.ClientHost
		}
		d.Offsets = append(d.Offsets, o)
	}
	return d
}

func (d *groupDescription) print(w io.Writer) {
	fmt.Fprintf(w, "group %s, %s, %s, assignor %s, coordinator %d, lag %s\n", d.Group, d.State,
		plural(int64(len(d.Members)), "member"), dash(d.Assignor), d.Coordinator, grouped(d.Lag))
	var rows [][]string
	for _, o := range d.Offsets {
		rows = append(rows, []string{o.Topic, strconv.Itoa(int(o.Partition)), number(o.Committed), number(o.End), number(o.Lag),
			dash(deref(o.MemberID)), dash(deref(o.Host)), dash(deref(o.ClientID))})
	}
	table(w, "TOPIC PARTITION COMMITTED END LAG MEMBER HOST CLIENT", rows)
}

func number(n *int64) string {
	if n == nil {
		return "-"
	}
	return strconv.FormatInt(*n, 10)
}

func (a *app) groupDelete() *cobra.Command {
	var dryRun bool
	cmd := &cobra.Command{
		Use:     "delete GROUP...",
		Short:   "Delete groups without members and their committed offsets",
		Example: "  naru group delete billing\n  naru group delete billing --dry-run",
		Args:    arguments(1, -1, "the name of a group"),
		RunE:    func(cmd *cobra.Command, args []string) error { return a.runGroupDelete(cmd.Context(), args, dryRun) },
	}
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "show what would be deleted, delete nothing")
	return a.clientFlags(cmd)
}

type groupChange struct {
	Group  string `json:"group"`
	DryRun bool   `json:"dry_run,omitempty"`
	Error  string `json:"error,omitempty"`
}

// runGroupDelete deletes nothing unless every named group exists.
func (a *app) runGroupDelete(ctx context.Context, names []string, dryRun bool) error {
	adm, ctx, done, err := a.admin(ctx)
	if err != nil {
		return err
	}
	defer done()
	if err := haveGroups(ctx, adm, names); err != nil {
		return err
	}
	answers := kadm.DeleteGroupResponses{}
	if !dryRun {
		if answers, err = adm.DeleteGroups(ctx, names...); err != nil {
			return fmt.Errorf("deleting groups: %w", err)
		}
	}
	out := struct {
		Groups []groupChange `json:"groups"`
	}{}
	var failed failures
	for _, n := range slices.Compact(slices.Sorted(slices.Values(names))) {
		c := groupChange{Group: n, DryRun: dryRun}
		if err := answers[n].Err; errors.Is(err, kerr.NonEmptyGroup) {
			c.Error = "it has members: stop them first, 'naru group describe' shows them (NON_EMPTY_GROUP)"
		} else if err != nil {
			c.Error = explain(err, "").Error()
		}
		if c.Error != "" {
			failed.add(fmt.Sprintf("group %q", n), errors.New(c.Error))
		}
		out.Groups = append(out.Groups, c)
	}
	err = a.show(out, func(w io.Writer) {
		for _, c := range out.Groups {
			if c.Error == "" && dryRun {
				fmt.Fprintf(w, "group %s would be deleted\n", c.Group)
			} else if c.Error == "" {
				fmt.Fprintf(w, "deleted group %s\n", c.Group)
			}
		}
	})
	return errors.Join(failed.err(), err)
}
