package nbd

import (
	"context"
	"errors"
	"fmt"
	"time"
)

const (
	// tries is how often an export is asked for: it may still be coming up.
	tries = 4
	// tryTimeout bounds one try.
	tryTimeout = 10 * time.Second
	// firstPause is what lies between the first two tries; it doubles.
	firstPause = 250 * time.Millisecond
)

// TooSmallError says that an export cannot hold the disk.
type TooSmallError struct {
	// Size and Want are in bytes.
	Size, Want uint64
}

func (e *TooSmallError) Error() string {
	return fmt.Sprintf("the export has %d bytes and the disk has %d", e.Size, e.Want)
}

// ErrReadOnly says that an export may not be written.
var ErrReadOnly = errors.New("the NBD server exports it read-only")

// Verify makes sure that an export can take a disk of that many bytes. What may
// pass (nobody listens yet, the export is not there yet) is tried again a few
// times; what will not is told at once.
func Verify(ctx context.Context, uri URI, size uint64) error {
	pause := firstPause
	for try := 1; ; try++ {
		err := verify(ctx, uri, size)
		if err == nil {
			return nil
		}
		if try == tries || lasting(err) || ctx.Err() != nil {
			return fmt.Errorf("verify NBD export %s: %w", uri, err)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("verify NBD export %s: %w", uri, errors.Join(ctx.Err(), err))
		case <-time.After(pause):
			pause *= 2
		}
	}
}

func verify(ctx context.Context, uri URI, size uint64) error {
	ctx, cancel := context.WithTimeout(ctx, tryTimeout)
	defer cancel()
	export, err := Negotiate(ctx, uri)
	switch {
	case err != nil:
		return err
	case export.ReadOnly:
		return ErrReadOnly
	case export.Size < size:
		return &TooSmallError{Size: export.Size, Want: size}
	}
	return nil
}

// lasting says that trying again will not help.
func lasting(err error) bool {
	var (
		small       *TooSmallError
		certificate *CertificateError
	)
	return errors.As(err, &small) || errors.As(err, &certificate) || errors.Is(err, ErrReadOnly) || errors.Is(err, ErrOldStyle) ||
		errors.Is(err, ErrTLSRequired) || errors.Is(err, ErrNoTLS) || errors.Is(err, ErrNotNBD)
}
