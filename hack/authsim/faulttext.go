package authsim

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// wording reads and writes the arguments of one kind of fault.
type wording struct {
	read  func(*Fault, string) error
	write func(Fault) string
}

// silent is the wording of a kind without arguments.
var silent = wording{readNothing, func(Fault) string { return "" }}

// wordings is the closed set of kinds.
var wordings = map[FaultKind]wording{
	FaultRefuse:           {readRefusal, writeRefusal},
	FaultDropBefore:       silent,
	FaultRateLimited:      {readRetryAfter, func(f Fault) string { return f.RetryAfter }},
	FaultServerError:      {readServerError, writeServerError},
	FaultHTML:             {readStatus, writeStatus},
	FaultRedirect:         {readRedirect, func(f Fault) string { return writeStatus(f) + " " + f.Location }},
	FaultSlow:             {readDelay, func(f Fault) string { return f.Delay.String() }},
	FaultDropAfter:        silent,
	FaultServerErrorAfter: {readStatus, writeStatus},
	FaultTruncate:         {readKeepBytes, func(f Fault) string { return strconv.Itoa(f.KeepBytes) }},
	FaultExpiresIn:        {readExpiresIn, func(f Fault) string { return string(f.ExpiresIn) }},
	FaultSameRefreshToken: silent,
	FaultOmitRefreshToken: silent,
	FaultOversized:        silent,
}

func kindNames() string {
	names := slices.Sorted(maps.Keys(wordings))
	return strings.Trim(fmt.Sprint(names), "[]")
}

// ParseFault reads the text form of a fault:
//
//	<when> [x<times>] [<grant>]: <kind> [<arguments>]
//
// When is "every" or an ordinal ("1st", "2nd", "3rd", …), the grant is a grant
// type, or "revocation" for requests to the revocation endpoint. The kinds and
// their arguments:
//
//	refuse [<status>] [<code> [<description>]]    rate-limited [<Retry-After>]
//	server-error [<status> [<Retry-After>]]       server-error-after [<status>]
//	html [<status>]                               redirect [<status>] <location>
//	slow <duration>                               truncate [<bytes kept>]
//	expires-in [<JSON>]                           drop-before   drop-after
//	same-refresh-token   omit-refresh-token       oversized
//
// For example "3rd: drop-after", "every: slow 2s", "every x2 password: html 403",
// "5th refresh_token: server-error 502". Defaults are filled in, so the String
// of the result says everything.
func ParseFault(text string) (Fault, error) {
	fault, err := parseFault(text)
	if err != nil {
		return Fault{}, fmt.Errorf("fault %q: %w", text, err)
	}
	return fault, nil
}

func parseFault(text string) (Fault, error) {
	when, what, found := strings.Cut(text, ":")
	if !found {
		return Fault{}, errors.New("no colon: want <when>: <kind> [<arguments>]")
	}
	var fault Fault
	if err := fault.readWhen(when); err != nil {
		return Fault{}, err
	}
	kind, arguments := cutWord(what)
	fault.Kind = FaultKind(kind)
	if known, ok := wordings[fault.Kind]; ok {
		if err := known.read(&fault, arguments); err != nil {
			return Fault{}, fmt.Errorf("%s: %w", kind, err)
		}
	}
	fault = fault.complete()
	return fault, fault.check()
}

// readWhen reads all that comes before the colon.
func (f *Fault) readWhen(when string) error {
	first, rest := cutWord(when)
	at, err := readOrdinal(first)
	if err != nil {
		return err
	}
	f.At = at
	if strings.HasPrefix(rest, "x") {
		times, after := cutWord(rest)
		if f.Times, err = strconv.Atoi(times[1:]); err != nil || f.Times < 1 {
			return fmt.Errorf("%q is not a number of times: want x1 or more", times)
		}
		rest = after
	}
	f.Grant = rest
	return nil
}

func readOrdinal(word string) (int, error) {
	if word == "every" {
		return 0, nil
	}
	digits := strings.TrimRight(word, "abcdefghijklmnopqrstuvwxyz")
	n, err := strconv.Atoi(digits)
	if err != nil || n < 1 {
		return 0, fmt.Errorf("%q is not a request: want every, 1st, 2nd, 3rd, …", word)
	}
	if word != ordinal(n) {
		return 0, fmt.Errorf("%q is not a request: want %s", word, ordinal(n))
	}
	return n, nil
}

func ordinal(n int) string {
	suffix := "th"
	if n%100 < 11 || n%100 > 13 {
		switch n % 10 {
		case 1:
			suffix = "st"
		case 2:
			suffix = "nd"
		case 3:
			suffix = "rd"
		}
	}
	return strconv.Itoa(n) + suffix
}

// String is the text form that ParseFault reads.
func (f Fault) String() string {
	f = f.complete()
	words := []string{"every"}
	if f.At > 0 {
		words[0] = ordinal(f.At)
	}
	if f.Times > 1 || f.At == 0 && f.Times == 1 {
		words = append(words, "x"+strconv.Itoa(f.Times))
	}
	if f.Grant != "" {
		words = append(words, f.Grant)
	}
	text := strings.Join(words, " ") + ": " + string(f.Kind)
	if known, ok := wordings[f.Kind]; ok {
		text += " " + known.write(f)
	}
	return strings.TrimSpace(text)
}

// cutWord splits off the first word; neither part has space around it.
func cutWord(text string) (word, rest string) {
	word, rest, _ = strings.Cut(strings.TrimSpace(text), " ")
	return word, strings.TrimSpace(rest)
}

// cutStatus splits off a first word that is a number, 0 where there is none.
func cutStatus(arguments string) (status int, rest string) {
	word, after := cutWord(arguments)
	if number, err := strconv.Atoi(word); err == nil {
		return number, after
	}
	return 0, arguments
}

func readNothing(_ *Fault, arguments string) error {
	if arguments != "" {
		return fmt.Errorf("takes no arguments, not %q", arguments)
	}
	return nil
}

func readRefusal(f *Fault, arguments string) error {
	status, rest := cutStatus(arguments)
	f.Status = status
	f.Code, f.Description = cutWord(rest)
	return nil
}

func writeRefusal(f Fault) string {
	return strings.TrimSpace(writeStatus(f) + " " + f.Code + " " + f.Description)
}

func readRetryAfter(f *Fault, arguments string) error {
	f.RetryAfter = arguments
	return nil
}

func readServerError(f *Fault, arguments string) error {
	status, after := cutWord(arguments)
	f.RetryAfter = after
	return readStatus(f, status)
}

func writeServerError(f Fault) string {
	return strings.TrimSpace(writeStatus(f) + " " + f.RetryAfter)
}

func readStatus(f *Fault, arguments string) error {
	status, rest := cutStatus(arguments)
	if rest != "" {
		return fmt.Errorf("%q is not a status", arguments)
	}
	f.Status = status
	return nil
}

func writeStatus(f Fault) string { return strconv.Itoa(f.Status) }

func readRedirect(f *Fault, arguments string) error {
	f.Status, f.Location = cutStatus(arguments)
	return nil
}

func readDelay(f *Fault, arguments string) (err error) {
	f.Delay, err = time.ParseDuration(arguments)
	return err
}

func readKeepBytes(f *Fault, arguments string) (err error) {
	if arguments != "" {
		f.KeepBytes, err = strconv.Atoi(arguments)
	}
	return err
}

func readExpiresIn(f *Fault, arguments string) error {
	if arguments != "" {
		f.ExpiresIn = json.RawMessage(arguments)
	}
	return nil
}
