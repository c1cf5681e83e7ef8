package config

import (
	"fmt"
	"strconv"
	"strings"
)

// InvalidError tells that a setting's name or value is wrong. Its text begins as
// Kafka's does and goes on with what is allowed and the nearest right name or
// value.
type InvalidError struct {
	Key     string // the name as it was given
	Value   string // the value as it was given; empty for an unknown name and for passwords
	Problem string // Kafka's words
	Help    string // what is allowed, and the nearest right one
}

// Error returns the whole message.
func (e *InvalidError) Error() string {
	if e.Help == "" {
		return e.Problem
	}
	return e.Problem + " (" + e.Help + ")"
}

// Check reports whether value is allowed for the setting; the error is an
// [*InvalidError].
func (k *Key) Check(value string) error {
	if k.Type != Password {
		value = strings.TrimSpace(value)
	}
	problem := k.Valid.complaint(k.Name, value)
	if complaint := typeComplaint(k.Type, value); complaint != "" {
		problem = invalidValue(k.Name, value, complaint)
	}
	if problem == "" {
		return nil
	}
	return k.invalid(value, problem)
}

func (k *Key) invalid(value, problem string) error {
	if k.Sensitive() {
		return &InvalidError{Key: k.Name, Problem: invalidValue(k.Name, "[hidden]", "it is not allowed"), Help: "allowed: " + k.allowed()}
	}
	help := "allowed: " + k.allowed()
	if near := k.nearestValue(value); near != "" {
		help += "; did you mean " + near + "?"
	}
	return &InvalidError{Key: k.Name, Value: value, Problem: problem, Help: help}
}

// allowed says what values a setting takes, from its rule or else its type.
func (k *Key) allowed() string {
	if k.Valid.allowed != "" {
		return k.Valid.allowed
	}
	switch k.Type {
	case Boolean:
		return "true or false"
	case Int, Short, Long:
		return "a whole number"
	case Double:
		return "a number"
	case List:
		return "values separated by commas"
	}
	return "any text"
}

func typeComplaint(t Type, value string) string {
	var err error
	switch t {
	case Boolean:
		if !strings.EqualFold(value, "true") && !strings.EqualFold(value, "false") {
			return "Expected value to be either true or false"
		}
	case Short:
		_, err = strconv.ParseInt(value, 10, 16)
	case Int:
		_, err = strconv.ParseInt(value, 10, 32)
	case Long:
		_, err = strconv.ParseInt(value, 10, 64)
	case Double:
		_, err = strconv.ParseFloat(value, 64)
	}
	if err != nil {
		return "Not a number of type " + t.String()
	}
	return ""
}

// splitList separates a LIST value at its commas; blanks around items go, an item that
// is named again is left out as in Kafka, and an empty value is an empty list.
func splitList(value string) []string {
	value = strings.TrimSpace(value)
	if value == "" {
		return nil
	}
	var items []string
	seen := map[string]bool{}
	for item := range strings.SplitSeq(value, ",") {
		if item = strings.TrimSpace(item); !seen[item] {
			seen[item] = true
			items = append(items, item)
		}
	}
	return items
}

// unknown returns the error for a name that is not a setting of the scope.
func unknown(scope Scope, name string) error {
	e := &InvalidError{Key: name, Problem: fmt.Sprintf("Unknown %s config name: %s", scope, name)}
	if near := Suggest(scope, name); near != "" {
		e.Help = "did you mean " + near + "?"
	} else {
		e.Help = "docs/configuration.md lists every setting"
	}
	return e
}

// CheckSetting validates one setting by name; an unknown name is an error.
func CheckSetting(scope Scope, name, value string) error {
	k, ok := Lookup(scope, name)
	if !ok {
		return unknown(scope, name)
	}
	return k.Check(value)
}
