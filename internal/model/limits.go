package model

// Limits that more than one side holds to.
const (
	MaxPinSet = 60  // environments that one pin set moves
	MaxKey    = 128 // bytes of an idempotency key
)
