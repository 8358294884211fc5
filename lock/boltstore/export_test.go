package boltstore

// Seal returns the stored form of a value.
func Seal(bucket, key, value string) []byte { return seal(bucket, []byte(key), []byte(value)) }
