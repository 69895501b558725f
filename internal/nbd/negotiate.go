package nbd

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
)

// Constants of the negotiation, named as in the specification (doc/proto.md of the NBD project).
const (
	nbdMagic     = 0x4e42444d41474943 // "NBDMAGIC"
	optionMagic  = 0x49484156454f5054 // "IHAVEOPT"
	oldMagic     = 0x00420281861253
	replyMagic   = 0x0003e889045565a9
	requestMagic = 0x25609513

	flagFixedNewstyle = 1 << 0
	flagNoZeroes      = 1 << 1

	optExportName = 1
	optAbort      = 2
	optStartTLS   = 5
	optInfo       = 6

	repAck      = 1
	repInfo     = 3
	repErrBit   = 1 << 31
	repUnsup    = repErrBit | 1
	repPolicy   = repErrBit | 2
	repTLSReqd  = repErrBit | 5
	repUnknown  = repErrBit | 6
	repShutdown = repErrBit | 7

	infoExport    = 0
	infoBlockSize = 3

	transmissionReadOnly = 1 << 1
	commandDisconnect    = 2
	commandFlags         = 0

	// maxReply limits the size of a reply, in bytes.
	maxReply = 64 << 10
)

// Export describes an export.
type Export struct {
	// Size is in bytes.
	Size     uint64
	ReadOnly bool
}

// Errors that point to a wrong configuration.
var (
	// ErrUnknownExport is returned when the server has no export with that name.
	ErrUnknownExport = errors.New("the NBD server has no such export")
	// ErrOldStyle is returned when the server speaks the old-style negotiation, which has no export names.
	ErrOldStyle = errors.New("the NBD server speaks the old-style negotiation, which has no export names")
	// ErrTLSRequired is returned when the server requires TLS and the URI does not use it.
	ErrTLSRequired = errors.New("the NBD server wants TLS, which migratekit leaves to a tunnel on this machine")
	// ErrNoTLS is returned when the URI uses TLS and the server does not offer it.
	ErrNoTLS = errors.New("the NBD server does not offer TLS")
	// ErrNotNBD is returned when the server speaks another protocol.
	ErrNotNBD = errors.New("the server does not speak NBD")
)

// Dialer connects to an NBD server, as net.Dialer does.
type Dialer = func(ctx context.Context, network, address string) (net.Conn, error)

// Negotiate connects, queries one export and disconnects, all within the context.
func Negotiate(ctx context.Context, dial Dialer, uri URI) (Export, error) {
	config, err := uri.tlsConfig()
	if err != nil {
		return Export{}, err
	}
	network, address := uri.endpoint()
	conn, err := dial(ctx, network, address)
	if err != nil {
		return Export{}, err
	}
	defer func() { _ = conn.Close() }()
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	export, err := negotiate(ctx, conn, uri.Export, config)
	if err != nil && ctx.Err() != nil {
		return Export{}, fmt.Errorf("the NBD server does not answer: %w", ctx.Err())
	}
	return export, err
}

// negotiate uses TLS if config is not nil.
func negotiate(ctx context.Context, conn net.Conn, name string, config *tls.Config) (Export, error) {
	flags, err := greet(conn)
	if err != nil {
		return Export{}, err
	}
	if config != nil {
		if conn, err = startTLS(ctx, conn, config); err != nil {
			return Export{}, err
		}
	}
	export, err := askInfo(conn, name)
	if errors.Is(err, errUnsupported) {
		return askByName(conn, name, flags&flagNoZeroes != 0)
	}
	if err == nil {
		_ = writeOption(conn, optAbort, nil) // best effort
	}
	return export, err
}

func greet(conn io.ReadWriter) (uint16, error) {
	var hello struct {
		Magic, Style uint64
	}
	if err := binary.Read(conn, binary.BigEndian, &hello); err != nil {
		return 0, fmt.Errorf("the server sent no NBD greeting: %w", err) // e.g. a tunnel whose far end is not up yet
	}
	switch {
	case hello.Magic != nbdMagic:
		return 0, ErrNotNBD
	case hello.Style == oldMagic:
		return 0, ErrOldStyle
	case hello.Style != optionMagic:
		return 0, ErrNotNBD
	}
	var flags uint16
	if err := binary.Read(conn, binary.BigEndian, &flags); err != nil {
		return 0, fmt.Errorf("%w: its greeting is incomplete: %w", ErrNotNBD, err)
	}
	if flags&flagFixedNewstyle == 0 {
		return 0, ErrOldStyle
	}
	return flags, binary.Write(conn, binary.BigEndian, uint32(flags&(flagFixedNewstyle|flagNoZeroes)))
}

// errUnsupported is returned when the server does not support NBD_OPT_INFO.
var errUnsupported = errors.New("option not supported")

func askInfo(conn io.ReadWriter, name string) (Export, error) {
	var data bytes.Buffer
	_ = binary.Write(&data, binary.BigEndian, uint32(len(name))) //nolint:gosec // a name of an export is short
	data.WriteString(name)
	// Some servers describe an export only to clients that also ask for its block size.
	_ = binary.Write(&data, binary.BigEndian, []uint16{1, infoBlockSize})
	if err := writeOption(conn, optInfo, data.Bytes()); err != nil {
		return Export{}, err
	}
	var export *Export
	for {
		kind, payload, err := readReply(conn, optInfo)
		if err != nil {
			return Export{}, err
		}
		switch kind {
		case repInfo:
			if len(payload) >= 12 && binary.BigEndian.Uint16(payload) == infoExport {
				export = newExport(binary.BigEndian.Uint64(payload[2:]), binary.BigEndian.Uint16(payload[10:]))
			}
		case repAck:
			if export == nil {
				return Export{}, fmt.Errorf("%w: it accepted the export but sent no information about it", ErrNotNBD)
			}
			return *export, nil
		default:
			return Export{}, replyError(kind, payload)
		}
	}
}

func newExport(size uint64, flags uint16) *Export {
	return &Export{Size: size, ReadOnly: flags&transmissionReadOnly != 0}
}

func replyError(kind uint32, payload []byte) error {
	switch kind {
	case repUnsup:
		return errUnsupported
	case repUnknown:
		return ErrUnknownExport
	case repTLSReqd:
		return ErrTLSRequired
	}
	text := map[uint32]string{
		repPolicy:   "its policy forbids it",
		repShutdown: "it is shutting down",
	}[kind]
	if text == "" {
		text = fmt.Sprintf("reply %#x", kind)
	}
	if message := strings.TrimSpace(strings.ToValidUTF8(string(payload), "?")); message != "" {
		text += ": " + message
	}
	return fmt.Errorf("the NBD server refused the export (%s)", text)
}

// askByName uses NBD_OPT_EXPORT_NAME, which all newstyle servers support. They hang up on an unknown name.
func askByName(conn io.ReadWriter, name string, noZeroes bool) (Export, error) {
	if err := writeOption(conn, optExportName, []byte(name)); err != nil {
		return Export{}, err
	}
	var answer struct {
		Size  uint64
		Flags uint16
	}
	if err := binary.Read(conn, binary.BigEndian, &answer); err != nil {
		if errors.Is(err, io.EOF) {
			return Export{}, ErrUnknownExport
		}
		return Export{}, err
	}
	if !noZeroes {
		if _, err := io.CopyN(io.Discard, conn, 124); err != nil {
			return Export{}, err
		}
	}
	_ = binary.Write(conn, binary.BigEndian, struct { // best effort
		Magic          uint32
		Flags, Command uint16
		Cookie, Offset uint64
		Length         uint32
	}{Magic: requestMagic, Flags: commandFlags, Command: commandDisconnect})
	return *newExport(answer.Size, answer.Flags), nil
}

func writeOption(conn io.Writer, option uint32, data []byte) error {
	var b bytes.Buffer
	_ = binary.Write(&b, binary.BigEndian, struct {
		Magic          uint64
		Option, Length uint32
	}{optionMagic, option, uint32(len(data))}) //nolint:gosec // as above
	b.Write(data)
	_, err := conn.Write(b.Bytes())
	return err
}

func readReply(conn io.Reader, option uint32) (kind uint32, payload []byte, err error) {
	var head struct {
		Magic                uint64
		Option, Kind, Length uint32
	}
	if err := binary.Read(conn, binary.BigEndian, &head); err != nil {
		if errors.Is(err, io.EOF) {
			return 0, nil, errors.New("the NBD server closed the connection when asked for the export")
		}
		return 0, nil, err
	}
	if head.Magic != replyMagic || head.Option != option || head.Length > maxReply {
		return 0, nil, ErrNotNBD
	}
	payload = make([]byte, head.Length)
	_, err = io.ReadFull(conn, payload)
	return head.Kind, payload, err
}
