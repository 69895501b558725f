package nbd

import (
	"context"
	"errors"
	"fmt"
	"time"
)

const (
	// tries allows for an export that is still starting.
	tries = 4
	// tryTimeout limits one try.
	tryTimeout = 10 * time.Second
	// firstPause is the pause after the first try; it doubles.
	firstPause = 250 * time.Millisecond
)

// TooSmallError is returned when an export is smaller than the disk.
type TooSmallError struct {
	// Size and Want are in bytes.
	Size, Want uint64
}

func (e *TooSmallError) Error() string {
	return fmt.Sprintf("the export has %d bytes and the disk has %d", e.Size, e.Want)
}

// ErrReadOnly is returned when an export is read-only.
var ErrReadOnly = errors.New("the NBD server exports it read-only")

// Verify checks that an export is writable and holds size bytes. It retries temporary errors (no listener or no
// export yet) a few times and returns permanent ones at once.
func Verify(ctx context.Context, dial Dialer, uri URI, size uint64) error {
	pause := firstPause
	for try := 1; ; try++ {
		err := verify(ctx, dial, uri, size)
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

func verify(ctx context.Context, dial Dialer, uri URI, size uint64) error {
	ctx, cancel := context.WithTimeout(ctx, tryTimeout)
	defer cancel()
	export, err := Negotiate(ctx, dial, uri)
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

// lasting reports whether an error is permanent.
func lasting(err error) bool {
	var (
		small       *TooSmallError
		certificate *CertificateError
	)
	return errors.As(err, &small) || errors.As(err, &certificate) || errors.Is(err, ErrReadOnly) || errors.Is(err, ErrOldStyle) ||
		errors.Is(err, ErrTLSRequired) || errors.Is(err, ErrNoTLS) || errors.Is(err, ErrNotNBD)
}
