package provider

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"mime"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/fluent-credential/operator/internal/token"
)

// maxLife bounds expires_in: a token that claims to live longer is refreshed after a year all the same.
const maxLife = 365 * 24 * time.Hour

// fields is a JSON object of a reply, its members not yet looked at.
type fields map[string]json.RawMessage

// plainName matches the names of members that are shown: a longer or unusual name could be a secret.
var plainName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.-]{0,31}$`)

// maxNames bounds the number of names that are shown.
const maxNames = 10

// names lists the members without their values.
func (f fields) names() string {
	if len(f) == 0 {
		return "it has no members"
	}
	var plain []string
	for _, name := range slices.Sorted(maps.Keys(f)) {
		if plainName.MatchString(name) && len(plain) < maxNames {
			plain = append(plain, name)
		}
	}
	if rest := len(f) - len(plain); rest > 0 {
		plain = append(plain, fmt.Sprintf("%d more", rest))
	}
	return "its members are " + strings.Join(plain, ", ")
}

// The reasons why a 2xx is no grant.
var (
	errNotObject = errors.New("the reply is not a JSON object")
	errPage      = errors.New("an HTML page, not a reply of the API")
)

// byteOrderMark may come before a JSON text, against the rule; ignoring it is allowed (RFC 8259 section 8.1).
var byteOrderMark = []byte("\xef\xbb\xbf")

// document is a reply, as far as it could be parsed.
type document struct {
	status int
	kind   bodyClass
	fields fields   // of an object
	list   []fields // of a list of objects
	text   string   // of a plain text, or of XML without its markup
	// conflict is the reason why the fields are no grant: if two different tokens have the same name, a guess could
	// publish the wrong one.
	conflict error
}

// read determines the kind of a body from its content: a content type is often wrong.
func read(reply Reply) document {
	doc := document{status: reply.Status, kind: otherBody}
	kind, _, _ := mime.ParseMediaType(reply.Header.Get("Content-Type"))
	body := bytes.TrimSpace(bytes.TrimPrefix(reply.Body, byteOrderMark))
	if object, conflict, err := parse(body); err == nil {
		doc.kind = jsonBody
		doc.fields = object
		doc.conflict = conflict
		return doc
	}
	list, isList := parseList(body)
	form, isForm, conflict := parseForm(kind, body)
	var text string
	switch {
	case len(body) == 0:
		doc.kind = emptyBody
	case isList:
		doc.kind = jsonBody
		doc.list = list
	case isForm:
		doc.kind = jsonBody
		doc.fields = form
		doc.conflict = conflict
	case strings.Contains(kind, "html") || beginsAsPage(body):
		doc.kind = htmlBody
	case json.Unmarshal(body, &text) == nil: // a JSON string
		doc.text = text
	case kind == "text/plain":
		doc.text = string(body)
	case strings.HasSuffix(kind, "xml"):
		doc.text = strings.Join(strings.Fields(markup.ReplaceAllString(string(body), " ")), " ")
	}
	return doc
}

// markup matches a tag, a declaration or a comment of XML.
var markup = regexp.MustCompile(`<[^>]*>`)

// pageStart matches the beginning of an HTML page, after comments and the declarations of XML.
var pageStart = regexp.MustCompile(`(?is)^(\s|<!--.*?-->|<\?xml[^>]*>)*<(!doctype\s+html|html|head|body|title)\b`)

func beginsAsPage(body []byte) bool { return pageStart.Match(body[:min(len(body), maxPageStart)]) }

// maxPageStart bounds the part of a body that is searched for the beginning of a page.
const maxPageStart = 4096

// parseFields reads a JSON object, with nothing after it.
func parseFields(body []byte) (fields, error) {
	object, _, err := parse(body)
	return object, err
}

// parse reads a JSON object with nothing after it. If two members have the same name, the last one counts, as in most
// parsers; conflict reports that the two are different tokens.
func parse(body []byte) (object fields, conflict, err error) {
	body = bytes.TrimPrefix(body, byteOrderMark)
	decoder := json.NewDecoder(bytes.NewReader(body))
	if start, err := decoder.Token(); err != nil || start != json.Delim('{') || !json.Valid(body) {
		return nil, nil, errNotObject
	}
	object = fields{}
	for decoder.More() {
		differ, err := object.readMember(decoder)
		if err != nil {
			return nil, nil, err
		}
		if conflict == nil {
			conflict = differ
		}
	}
	return object, conflict, nil
}

func (f fields) readMember(decoder *json.Decoder) (conflict, err error) {
	key, err := decoder.Token()
	name, isText := key.(string)
	if err != nil || !isText {
		return nil, errNotObject
	}
	var value json.RawMessage
	if err := decoder.Decode(&value); err != nil {
		return nil, errNotObject
	}
	return f.set(name, value), nil
}

// set adds a member, and reports whether it is a different token with the same name.
func (f fields) set(name string, value json.RawMessage) (conflict error) {
	if before, twice := f[name]; twice && tokens[name] && !bytes.Equal(before, value) {
		conflict = fmt.Errorf("the reply has two different members %s", name)
	}
	f[name] = value
	return conflict
}

// parseList reads a list of JSON objects, as some APIs send their errors.
func parseList(body []byte) ([]fields, bool) {
	if len(body) == 0 || body[0] != '[' {
		return nil, false
	}
	var list []fields
	if json.Unmarshal(body, &list) != nil || len(list) == 0 {
		return nil, false
	}
	return list, true
}

// parseForm reads application/x-www-form-urlencoded, which some servers send although JSON was requested. A plain text
// counts as a form if it has one of the members that a reply must have.
func parseForm(kind string, body []byte) (object fields, ok bool, conflict error) {
	if kind != "application/x-www-form-urlencoded" && kind != "text/plain" {
		return nil, false, nil
	}
	values, err := url.ParseQuery(string(body))
	if err != nil || !values.Has("access_token") && !values.Has("error") {
		return nil, false, nil
	}
	object = fields{}
	for name, each := range values {
		for _, value := range each {
			encoded, _ := json.Marshal(value) // a string always encodes
			if differ := object.set(name, encoded); differ != nil {
				conflict = differ
			}
		}
	}
	return object, true, conflict
}

// tokens are the members that are spent or published.
var tokens = map[string]bool{"access_token": true, "refresh_token": true}

// text reads a member that is a string; ok is false where it is something else, and true where it is missing.
func (f fields) text(name string) (value string, ok bool) {
	raw, present := f[name]
	if !present || string(raw) == "null" {
		return "", true
	}
	return value, json.Unmarshal(raw, &value) == nil
}

// scalarNamed reads a member whose name may have any case. The exact name comes first.
func (f fields) scalarNamed(name string) string {
	if value := f.scalar(name); value != "" {
		return value
	}
	var spellings []string // a reply can have thousands of members, so only these are sorted
	for other := range f {
		if strings.EqualFold(other, name) {
			spellings = append(spellings, other)
		}
	}
	slices.Sort(spellings)
	for _, other := range spellings {
		if value := f.scalar(other); value != "" {
			return value
		}
	}
	return ""
}

// scalar reads a member that is a string, a number or a boolean, as text.
func (f fields) scalar(name string) string {
	if value, ok := f.text(name); ok {
		return value
	}
	raw := strings.TrimSpace(string(f[name]))
	if raw == "" || strings.ContainsAny(raw[:1], "{[") {
		return ""
	}
	return raw
}

func (f fields) texts(name string) []string {
	var values []string
	if json.Unmarshal(f[name], &values) != nil {
		return nil
	}
	return values
}

// scopes reads the member scope; some servers write a list of strings.
func (f fields) scopes() string {
	if list := f.texts("scope"); len(list) > 0 {
		return strings.Join(list, " ")
	}
	return f.scalar("scope")
}

// life reads expires_in: a number or a string of seconds. A negative value, or one that is no number, counts as
// missing: it must not cause the loss of a granted token (RFC 6749 section 5.1 only recommends the field). A value too
// large for a float64 counts as large.
func (f fields) life() (time.Duration, bool) {
	seconds, err := strconv.ParseFloat(strings.TrimSpace(f.scalar("expires_in")), 64)
	if err != nil && !errors.Is(err, strconv.ErrRange) || !(seconds >= 0) {
		return 0, false
	}
	return time.Duration(min(seconds, maxLife.Seconds())) * time.Second, true
}

// latestDate bounds a NumericDate: the end of the year 9999.
const latestDate = 253402300799

// numericDate reads a member that is a NumericDate (RFC 7519 section 2), without its fraction; zero if it is none.
func (f fields) numericDate(name string) time.Time {
	seconds, err := strconv.ParseFloat(f.scalar(name), 64)
	if err != nil || !(seconds > 0) || seconds > latestDate {
		return time.Time{}
	}
	return time.Unix(int64(seconds), 0)
}

// age returns the difference between the reply's Date and created_at. Both come from the server's clock, so a
// difference to the local clock does no harm. If either is missing, or they contradict each other, the age is unknown.
func (f fields) age(header http.Header) time.Duration {
	created, err := strconv.ParseInt(f.scalar("created_at"), 10, 64)
	if err != nil {
		return 0
	}
	answered, err := http.ParseTime(header.Get("Date"))
	if err != nil {
		return 0
	}
	age := answered.Unix() - created
	if created <= 0 || age <= 0 || age > int64(maxLife.Seconds()) {
		return 0
	}
	return time.Duration(age) * time.Second
}

// known are the members of a reply that have fields of their own.
var known = map[string]bool{
	"access_token": true, "refresh_token": true, "token_type": true, "expires_in": true, "scope": true,
}

// credential matches the names of members that are credentials, in any spelling: they never reach a template.
var credential = regexp.MustCompile(`(?i)` + strings.Join([]string{
	`tokens?([_-]?v?\d+)?$`, `secret`, `assertion`, `password`, `passwd`, `passphrase`, `credential`, `(private|api)[_-]?key`,
	`(access|session|signing|encryption)[_-]?key$`, `^(x[_-])?key$`, `^code$`, `(auth|authorization|device)[_-]?code$`,
	`(^|[_-])jwt$`, `cookie`, `^ticket$`, `^(refresh|bearer|otp|pin)$`,
}, "|"))

// signed matches a JWT or JWE in compact form, whatever the name of the member.
var signed = regexp.MustCompile(`^eyJ[A-Za-z0-9_-]*(\.[A-Za-z0-9_-]*){2,4}$`)

// leastRepeated is the length from which on a token that is part of another member is no coincidence.
const leastRepeated = 8

// extra returns the members beyond RFC 6749 that are scalars and no credentials: neither by their name nor by their value.
// A value with a control character is left out: consumers put values into headers and configuration files, where a line end
// begins a new entry.
func (f fields) extra() map[string]string {
	extra := map[string]string{}
	for name := range f {
		value := f.scalar(name)
		if value == "" || strings.ContainsFunc(value, unicode.IsControl) {
			continue
		}
		if !known[name] && !credential.MatchString(name) && !f.isCredential(value) {
			extra[name] = value
		}
	}
	return extra
}

// isCredential reports whether a value is a signed token, or repeats a token of the reply.
func (f fields) isCredential(value string) bool {
	if signed.MatchString(value) {
		return true
	}
	for name := range tokens {
		if token := f.scalar(name); len(token) >= leastRepeated && strings.Contains(value, token) {
			return true
		}
	}
	return false
}

// grantedSet reads the fields of RFC 6749 section 5.1.
func (d document) grantedSet() (token.Set, error) {
	f := d.fields
	if d.conflict != nil {
		return token.Set{}, d.conflict
	}
	access, err := f.token("access_token")
	if err != nil {
		return token.Set{}, err
	}
	if access.IsZero() {
		return token.Set{}, errors.New("the reply has no access_token; " + f.names())
	}
	refresh, err := f.token("refresh_token")
	if err != nil {
		return token.Set{}, err
	}
	life, told := f.life()
	tokenType, _ := f.text("token_type") // a number is no token type
	return token.Set{
		Access: access, Refresh: refresh, Type: token.CleanType(tokenType), Scope: f.scopes(),
		Life: life, LifeUnknown: !told, Extra: f.extra(),
	}, nil
}

// token reads a token; zero if there is none. A character outside RFC 6749 appendices A.12 and A.17 means that the
// reply was damaged on its way, or would end a header that the token is used in.
func (f fields) token(name string) (token.Secret, error) {
	value, ok := f.text(name)
	if !ok {
		return token.Secret{}, fmt.Errorf("%s is not a string", name)
	}
	if strings.ContainsFunc(value, func(r rune) bool { return r < ' ' || r > '~' }) {
		return token.Secret{}, fmt.Errorf("%s holds characters that no token has", name)
	}
	if strings.TrimSpace(value) == "" {
		return token.Secret{}, nil
	}
	return token.NewSecret(value), nil
}

// retryAfter reads the header Retry-After: seconds, or a date that is compared with the reply's own (RFC 9110 section
// 10.2.3).
func retryAfter(header http.Header) time.Duration {
	value := header.Get("Retry-After")
	if seconds, err := strconv.Atoi(value); err == nil || errors.Is(err, strconv.ErrRange) {
		return time.Duration(max(0, min(seconds, int(maxRetryAfter.Seconds())))) * time.Second
	}
	at, err := http.ParseTime(value)
	if err != nil {
		return 0
	}
	sent, err := http.ParseTime(header.Get("Date"))
	if err != nil {
		return 0
	}
	return max(0, min(at.Sub(sent), maxRetryAfter))
}

// maxRetryAfter bounds what an API may ask for.
const maxRetryAfter = time.Hour

// assumeLife treats a life of zero seconds as missing: a server does not issue an expired token, and some write 0 for a
// token without an end.
func assumeLife(answer Answer) Answer {
	if answer.Verdict == token.Granted && !answer.Set.LifeUnknown && answer.Set.Life == 0 {
		answer.Set.LifeUnknown = true
		answer.Set.LifeZero = true
	}
	return answer
}
