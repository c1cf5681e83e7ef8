package network

import "sync/atomic"

// Stats counts what a server does. All fields may be read at any time.
type Stats struct {
	// Connections is the number of open connections.
	Connections atomic.Int64
	// Accepted counts connections that were accepted and admitted.
	Accepted atomic.Int64
	// Requests counts complete frames handed to the handler.
	Requests atomic.Int64
	// InFlight is the number of requests that are not completed and sent.
	InFlight atomic.Int64
	// BytesIn and BytesOut count bytes of frames, with their lengths.
	BytesIn, BytesOut atomic.Int64
	// BudgetUsed is how many bytes of frames are held now, with the connections' shares.
	BudgetUsed atomic.Int64
	// BudgetWaits counts how often a connection had to wait for the budget.
	BudgetWaits atomic.Int64
	// ColdReads counts pieces of files that had to come from the disk before
	// they were sent.
	ColdReads atomic.Int64
	// AcceptErrors counts failed accepts.
	AcceptErrors atomic.Int64
	// Closes counts closed connections by [CloseReason].
	Closes [numCloseReasons]atomic.Int64
}

// CloseReason says why a connection ended.
type CloseReason uint8

// The reasons why a connection ends.
const (
	// ClosedByPeer: the client closed it or it broke.
	ClosedByPeer CloseReason = iota
	// ClosedByHandler: CloseConnection was called.
	ClosedByHandler
	// ClosedFrameSize: a frame announced a length that is not allowed.
	ClosedFrameSize
	// ClosedIdle: nothing happened for Limits.MaxIdle.
	ClosedIdle
	// ClosedSlowFrame: a frame had begun but did not arrive fast enough.
	ClosedSlowFrame
	// ClosedSlowReader: the client did not take its answers for Limits.WriteStall.
	ClosedSlowReader
	// ClosedBudget: the budget was exhausted and this frame was among the slowest.
	ClosedBudget
	// ClosedHandshake: the TLS handshake failed or took too long.
	ClosedHandshake
	// ClosedAdmission: one connection too many from its address.
	ClosedAdmission
	// ClosedExcess: there were more connections than Limits.MaxConnections allows now.
	ClosedExcess
	// ClosedFile: a file range could not be sent as announced.
	ClosedFile
	// ClosedShutdown: the server was closed.
	ClosedShutdown

	numCloseReasons
)
