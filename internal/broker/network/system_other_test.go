//go:build !linux

package network

func openFileLimit() uint64 { return 1024 }

func allRead(*Server) bool { return true }
