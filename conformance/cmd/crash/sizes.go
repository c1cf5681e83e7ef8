package main

import "context"

func (r *run) grow(context.Context) error      { return nil }
func (r *run) idleStart(context.Context) error { return nil }
