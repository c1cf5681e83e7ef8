// Package vfs is the floor under everything that keeps bytes: a file system that
// can be the operating system's or one in memory that loses power on command.
//
// Purpose: the storage code names files, writes at offsets, asks for fdatasync
// and directory syncs, and never touches package os. The same code therefore runs
// over [OS] in production and over [Mem] in tests, where every write, sync and
// rename is a boundary at which a [Mem.CrashClone] shows what a power cut would
// have left, and where any operation can be made to fail.
//
// A file that others may still be reading is held through a [Handle]: it is
// opened on demand, counted, closed by a bounded [Cache] when idle, and stays
// readable through every [Range] until that range is released, whatever happens
// to its name in the meantime. Where the process has no descriptor left, [Patient]
// closes idle files and waits for one.
//
// Neighbours: broker/storage writes through it, broker/network sends a [Range]
// with sendfile. It imports only the standard library and x/sys.
//
// Invariants:
//   - Sync makes a file's bytes and size durable, and nothing else; a name is
//     durable after SyncDir of its directory.
//   - A failed Sync is never retried here: the kernel may have dropped the pages.
//   - No lock of this package is held while a file is read, written or synced.
package vfs
