package exchange

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/fluent-credential/operator/internal/provider"
	"github.com/fluent-credential/operator/internal/token"
)

func packed(writer func(io.Writer) io.WriteCloser, text string) string {
	var out bytes.Buffer
	in := writer(&out)
	_, _ = io.WriteString(in, text)
	_ = in.Close()
	return out.String()
}

func gzipped(text string) string {
	return packed(func(w io.Writer) io.WriteCloser { return gzip.NewWriter(w) }, text)
}

func zlibbed(text string) string {
	return packed(func(w io.Writer) io.WriteCloser { return zlib.NewWriter(w) }, text)
}

func deflated(text string) string {
	return packed(func(w io.Writer) io.WriteCloser {
		deflater, _ := flate.NewWriter(w, flate.BestCompression) // fails for no level that there is
		return deflater
	}, text)
}

func coded(coding, body string) string {
	return fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Encoding: %s\r\nContent-Length: %d\r\n\r\n%s", coding, len(body), body)
}

// TestCodingNobodyAskedFor: the reply is the only copy of a token, so that it is decoded however it comes.
func TestCodingNobodyAskedFor(t *testing.T) {
	tooLarge := outcome{Verdict: token.Unknown, Status: 200, Code: provider.InvalidReply, Description: "the reply is larger than 256 KiB"}
	broken := func(words string) outcome { return outcome{token.Unknown, 200, provider.InvalidReply, words, ""} }
	damaged := func(coding string) outcome {
		return broken("the reply's " + coding + " coding is damaged or incomplete")
	}
	sized := func(size int) string { return granting + strings.Repeat(" ", size-len(granting)) }
	half := gzipped(granting)[:60]
	flipped := []byte(gzipped(granting))
	flipped[len(flipped)-6] ^= 1 // in the checksum
	tests := map[string]struct {
		wire string
		want outcome
		why  string
	}{
		"gzip":               {coded("gzip", gzipped(granting)), granted, "a CDN does that"},
		"x-gzip":             {coded("X-GZIP", gzipped(granting)), granted, "its former name, and codings have no case"},
		"deflate, wrapped":   {coded("deflate", zlibbed(granting)), granted, "this is what the standard means"},
		"deflate, bare":      {coded("deflate", deflated(granting)), granted, "this is what some servers send"},
		"identity":           {coded("identity", granting), granted, "it is none"},
		"empty":              {coded("", granting), granted, "it is none"},
		"two":                {coded("deflate, gzip", gzipped(zlibbed(granting))), granted, "the last one is taken off first"},
		"two headers":        {"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Encoding: gzip\r\n\r\n" + gzipped(gzipped(granting)), granted, "it is one list"},
		"two members":        {coded("gzip", gzipped(granting[:30])+gzipped(granting[30:])), granted, "RFC 1952 allows it"},
		"padded":             {coded("gzip", gzipped(granting)+"\x00\x00\x00"), granted, "the checksum of all that counts is right"},
		"not named":          {reply("200 OK", gzipped(granting)), granted, "it begins like gzip, and nothing else does"},
		"named, not used":    {coded("gzip", granting), granted, "JSON as it came was not encoded"},
		"no coding at all":   {coded("UTF-8", granting), granted, "some servers name the character set there"},
		"brotli, not used":   {coded("br", granting), granted, "JSON as it came was not encoded"},
		"chunked":            {fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", len(gzipped(granting)), gzipped(granting)), granted, "both are what they are"},
		"last chunk missing": {fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n", len(gzipped(granting)), gzipped(granting)), granted, "the checksum says that it is whole"},
		"no length":          {"HTTP/1.0 200 OK\r\nContent-Encoding: gzip\r\n\r\n" + gzipped(granting), granted, "the end of the connection is the end of the reply"},
		"at the bound":       {coded("gzip", gzipped(sized(MaxReply))), granted, "the decoded size counts"},
		"beyond the bound":   {coded("gzip", gzipped(sized(MaxReply+1))), tooLarge, "the decoded size counts"},
		"a bomb":             {coded("gzip", gzipped(strings.Repeat("\x00", 64<<20))), tooLarge, "memory is bounded"},
		"a bomb, deflate":    {coded("deflate", zlibbed(strings.Repeat("\x00", 64<<20))), tooLarge, "memory is bounded"},
		"a bomb in members":  {coded("gzip", strings.Repeat(gzipped(strings.Repeat("\x00", 200<<10)), 50)), tooLarge, "memory is bounded, whatever the members"},
		"a bomb in a bomb":   {coded("gzip, gzip", gzipped(gzipped(strings.Repeat("\x00", 64<<20)))), tooLarge, "memory is bounded at each step"},
		"refused":            {"HTTP/1.1 400 Bad Request\r\nContent-Encoding: gzip\r\n\r\n" + gzipped(`{"error":"invalid_grant"}`), outcome{token.RefusedDead, 400, "invalid_grant", "", ""}, "a refusal has to be readable, too"},
		"cut off":            {coded("gzip", half), damaged("gzip"), "what is missing may be the token"},
		"cut off, no length": {"HTTP/1.0 200 OK\r\nContent-Encoding: gzip\r\n\r\n" + half, damaged("gzip"), "what is missing may be the token"},
		"wrong checksum":     {coded("gzip", string(flipped)), damaged("gzip"), "the token may be another"},
		"cut off, wrapped":   {coded("deflate", zlibbed(granting)[:50]), damaged("deflate"), "what is missing may be the token"},
		"cut off, bare":      {coded("deflate", deflated(granting)[:50]), damaged("deflate"), "what is missing may be the token"},
		"no gzip":            {coded("gzip", "\x02<html>"), damaged("gzip"), "whatever it is"},
		"a page, no gzip":    {coded("gzip", "<html>"), broken("an HTML page, not a reply of the API"), "text as it came was not encoded"},
		"a form, no gzip":    {"HTTP/1.1 200 OK\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Encoding: utf-8\r\n\r\naccess_token=access-after&token_type=bearer", granted, "text as it came was not encoded"},
		"a mark, no gzip":    {coded("gzip", "\xef\xbb\xbf"+granting), granted, "a byte order mark is text"},
		"a limit, brotli":    {"HTTP/1.1 429 Too Many Requests\r\nContent-Encoding: br\r\nContent-Length: 3\r\n\r\n\x0b\x02\x80", outcome{token.TryLater, 429, "", "no reply of the API", ""}, "the status alone says that nothing was done"},
		"nothing, named":     {"HTTP/1.1 401 Unauthorized\r\nContent-Encoding: gzip\r\nContent-Length: 0\r\n\r\n", outcome{token.RefusedIntact, 401, "", "no reply of the API", ""}, "the status is a whole reply, and nothing was encoded"},
		"brotli":             {coded("br", "\x0b\x02\x80"), broken("the reply has the content coding br, which was not asked for"), "there is no decoder for it"},
		"zstd":               {coded("zstd", "\x28\xb5\x2f\xfd"), broken("the reply has the content coding zstd, which was not asked for"), "there is no decoder for it"},
		"four":               {coded("gzip, gzip, gzip, gzip", gzipped(gzipped(gzipped(gzipped(granting))))), broken("the reply has the content coding gzip, gzip, gzip, gzip, which was not asked for"), "thousands of them would take seconds"},
		"unknown, then gzip": {coded("aes128gcm, gzip", gzipped("\x01")), broken("the reply has the content coding aes128gcm, which was not asked for"), "the last one is taken off first"},
		"a terminal's":       {coded("a\tb", "\x01"), broken("the reply has the content coding a b, which was not asked for"), "others' words are one printable line"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			server := listen(t, answering(test.wire))
			api := oauth2(t, server.url(), provider.Form)
			if diff := cmp.Diff(test.want, outcomeOf(exchanged(t, Dialer{Policy: developing}, api, request(t, api)))); diff != "" {
				t.Errorf("wrong answer (-want +got), but %s\n%s", test.why, diff)
			}
			if strings.HasPrefix(name, "cut off, no") || strings.HasPrefix(name, "last chunk") {
				return // what was on the tape has no end of its own
			}
			if diff := cmp.Diff(test.want, outcomeOf(Replay(api, token.RefreshToken, token.NewSecret(test.wire), nil))); diff != "" {
				t.Errorf("the tape is read differently (-want +got)\n%s", diff)
			}
		})
	}
}

type tape struct {
	bytes.Buffer
	sealed bool
}

func (t *tape) Seal() error {
	t.sealed = true
	return nil
}

// TestTapeHoldsTheWire: what is taped is what came, and no more than MaxWire of it.
func TestTapeHoldsTheWire(t *testing.T) {
	bomb := strings.Repeat("x", 4*MaxReply)
	for name, test := range map[string]struct {
		wire   string
		sealed bool
		why    string
	}{
		"gzip":      {coded("gzip", gzipped(granting)), true, "it is a reply"},
		"brotli":    {coded("br", "\x0b\x02\x80"), true, "another version of the operator may be able to read it"},
		"damaged":   {coded("gzip", gzipped(granting)[:60]), true, "what there is of it is there"},
		"too large": {reply("200 OK", bomb), true, "what there is of it is there"},
		"cut off":   {reply("200 OK", granting)[:150], false, "it is not whole"},
		"head":      {"HTTP/1.1 200 OK\r\nX: " + bomb, false, "there is no reply"},
	} {
		wire := test.wire
		server := listen(t, answering(wire))
		api := oauth2(t, server.url(), provider.Form)
		conn, refused := Dialer{Policy: developing}.Dial(t.Context(), api, request(t, api))
		if refused != nil {
			t.Fatal(refused)
		}
		var taped tape
		conn.Record(&taped)
		conn.Send(t.Context(), api, token.RefreshToken, request(t, api))
		if got := taped.String(); len(got) > MaxWire || !strings.HasPrefix(wire, got) || name == "gzip" && got != wire {
			t.Errorf("%s: %d of %d bytes are on the tape", name, len(got), len(wire))
		}
		if taped.sealed != test.sealed {
			t.Errorf("%s: sealed: %t, but %s", name, taped.sealed, test.why)
		}
	}
}
