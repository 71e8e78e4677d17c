package exchange

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/fluent-credential/operator/internal/redact"
)

// decodeBody removes the content codings from a body (RFC 9110 section 8.4). The request asks for none, but a CDN or a
// framework may use one all the same, or name one that it did not use, and the reply is the only copy of a token. A
// body that is text as received was not encoded, and neither was an empty one.
func decodeBody(response *http.Response, body []byte) ([]byte, error) {
	decoded, err := decodeAll(codingsOf(response.Header, body), body)
	switch {
	case err != nil && isText(body):
		decoded = body
	case err != nil:
		return nil, err
	}
	if len(decoded) > MaxReply {
		return nil, errTooLarge
	}
	return decoded, nil
}

// isText reports whether a body has no byte that only a coding, or damage, puts there.
func isText(body []byte) bool {
	isBinary := func(r rune) bool { return r < ' ' && r != '\t' && r != '\r' && r != '\n' }
	return utf8.Valid(body) && !bytes.ContainsFunc(body, isBinary)
}

// codingsOf returns the codings of a body in the order in which they were applied. A body without a named coding that
// begins like a gzip file counts as gzip.
func codingsOf(header http.Header, body []byte) []string {
	var codings []string
	for coding := range strings.SplitSeq(strings.Join(header.Values("Content-Encoding"), ","), ",") {
		if coding = strings.TrimSpace(coding); coding != "" && !strings.EqualFold(coding, "identity") {
			codings = append(codings, coding)
		}
	}
	if len(codings) == 0 && bytes.HasPrefix(body, []byte("\x1f\x8b\x08")) {
		return []string{"gzip"}
	}
	return codings
}

// maxCodings bounds the work for one reply. One coding is usual.
const maxCodings = 3

func decodeAll(codings []string, body []byte) ([]byte, error) {
	if len(codings) > maxCodings {
		return nil, &fault{phase: midRead, kind: unknownCoding, detail: redact.Words(strings.Join(codings, ", "))}
	}
	for _, coding := range slices.Backward(codings) { // the last one was applied last
		decoded, err := decode(coding, body)
		if err != nil {
			return nil, err
		}
		body = decoded
	}
	return body, nil
}

func decode(coding string, body []byte) ([]byte, error) {
	var decoded []byte
	var err error
	switch strings.ToLower(coding) {
	case "gzip", "x-gzip":
		decoded, err = gunzip(body)
	case "deflate":
		decoded, err = inflate(body)
	default:
		return nil, &fault{phase: midRead, kind: unknownCoding, detail: redact.Words(coding)}
	}
	if err != nil && !errors.Is(err, errTooLarge) {
		return nil, &fault{phase: midRead, kind: damagedCoding, detail: strings.ToLower(coding), cause: err}
	}
	return decoded, err
}

// gunzip reads the members of a gzip file one after the other (RFC 1952 section 2.2), each with its checksum. Data
// after the last member that is not a member is padding.
func gunzip(body []byte) ([]byte, error) {
	source := bytes.NewReader(body)
	reader, err := gzip.NewReader(source)
	if err != nil {
		return nil, err
	}
	var decoded []byte
	for {
		reader.Multistream(false)
		member, err := readMost(reader, MaxReply-len(decoded))
		if err != nil {
			return nil, err
		}
		decoded = append(decoded, member...)
		if reader.Reset(source) != nil {
			return decoded, nil
		}
	}
}

// inflate reads the zlib format, which is deflate by the standard, or else the bare compressed data, which some servers
// send (RFC 9110 section 8.4.1.2).
func inflate(body []byte) ([]byte, error) {
	wrapped, err := zlib.NewReader(bytes.NewReader(body))
	if err == nil {
		decoded, err := readMost(wrapped, MaxReply)
		if err == nil || errors.Is(err, errTooLarge) {
			return decoded, err
		}
	}
	return readMost(flate.NewReader(bytes.NewReader(body)), MaxReply)
}

// readMost reads everything, up to a limit.
func readMost(from io.Reader, most int) ([]byte, error) {
	decoded, err := io.ReadAll(io.LimitReader(from, int64(most)+1))
	if err != nil {
		return nil, err
	}
	if len(decoded) > most {
		return nil, errTooLarge
	}
	return decoded, nil
}
