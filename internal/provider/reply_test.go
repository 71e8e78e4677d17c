package provider

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/fluent-credential/operator/internal/token"
)

const year = 365 * 24 * time.Hour

func TestExpiresIn(t *testing.T) {
	cases := map[string]struct {
		field string
		want  time.Duration
		told  bool
		why   string
	}{
		"number":            {`"expires_in":1799`, 1799 * time.Second, true, "this is what the standard asks for"},
		"string":            {`"expires_in":"1799"`, 1799 * time.Second, true, "many servers quote it"},
		"fraction":          {`"expires_in":1799.9`, 1799 * time.Second, true, "the last second is not to be counted on"},
		"exponent":          {`"expires_in":1.8e3`, 30 * time.Minute, true, "JSON has one kind of number"},
		"one":               {`"expires_in":1`, time.Second, true, "Fluent returns the seconds that remain"},
		"zero":              {`"expires_in":0`, 0, false, "no server issues a token that has expired, so nothing is known"},
		"minus zero":        {`"expires_in":-0.0`, 0, false, "no server issues a token that has expired, so nothing is known"},
		"zero as a string":  {`"expires_in":"0"`, 0, false, "no server issues a token that has expired, so nothing is known"},
		"negative":          {`"expires_in":-1`, 0, false, "to some servers it means for ever, so nothing is known"},
		"absurd":            {`"expires_in":1e300`, year, true, "it must not overflow a duration"},
		"beyond float64":    {`"expires_in":1e400`, year, true, "it is large, whatever it is"},
		"tiny":              {`"expires_in":1e-400`, 0, false, "no server issues a token that has expired, so nothing is known"},
		"twenty digits":     {`"expires_in":99999999999999999999`, year, true, "it must not overflow an integer"},
		"a year":            {`"expires_in":31536000`, year, true, "this is the bound itself"},
		"infinite":          {`"expires_in":"Infinity"`, year, true, "some serializers write it"},
		"not a number":      {`"expires_in":"NaN"`, 0, false, "nothing is known"},
		"null":              {`"expires_in":null`, 0, false, "null is missing"},
		"boolean":           {`"expires_in":true`, 0, false, "a token that was granted is not lost over it"},
		"object":            {`"expires_in":{"seconds":60}`, 0, false, "a token that was granted is not lost over it"},
		"list":              {`"expires_in":[60]`, 0, false, "a token that was granted is not lost over it"},
		"empty":             {`"expires_in":""`, 0, false, "an empty value is a missing one"},
		"word":              {`"expires_in":"never"`, 0, false, "nothing is known"},
		"missing":           {`"scope":"api"`, 0, false, "the field is only recommended"},
		"twice":             {`"expires_in":60,"expires_in":120`, 2 * time.Minute, true, "the last one counts, as in most parsers"},
		"of another letter": {`"Expires_In":60`, 0, false, "names of members have a case"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			answer := oauth2(Form, ClientBody).Read(token.RefreshToken, ok(`{"access_token":"a",`+c.field+`}`))
			if answer.Verdict != token.Granted {
				t.Fatalf("the token is lost: %s, but %s", answer.Problem.Description, c.why)
			}
			if answer.Set.Life != c.want || answer.Set.LifeUnknown == c.told {
				t.Errorf("got %s (known: %t), want %s (known: %t), because %s",
					answer.Set.Life, !answer.Set.LifeUnknown, c.want, c.told, c.why)
			}
		})
	}
}

func ok(body string) Reply { return Reply{Status: http.StatusOK, Body: []byte(body)} }

func TestGrantedFields(t *testing.T) {
	granted := func(change func(*meaning)) meaning {
		m := meaning{Verdict: token.Granted, Access: "a", LifeUnknown: true}
		change(&m)
		return m
	}
	unchanged := func(*meaning) {}
	cases := map[string]struct {
		body string
		want meaning
		why  string
	}{
		"access token alone":      {`{"access_token":"a"}`, granted(unchanged), "token_type is mandatory, and losing a token over it is worse"},
		"white space around":      {" \r\n{\"access_token\":\"a\"}\r\n ", granted(unchanged), "JSON allows it"},
		"byte order mark":         {"\xef\xbb\xbf" + `{"access_token":"a"}`, granted(unchanged), "a parser may ignore it"},
		"type in capitals":        {`{"access_token":"a","token_type":"BEARER"}`, granted(func(m *meaning) { m.Type = "BEARER" }), "the type has no case, and is kept as it is"},
		"type as a number":        {`{"access_token":"a","token_type":1}`, granted(unchanged), "no number begins a header"},
		"type null":               {`{"access_token":"a","token_type":null}`, granted(unchanged), "null is missing"},
		"refresh token":           {`{"access_token":"a","refresh_token":"r"}`, granted(func(m *meaning) { m.Refresh = "r" }), "it replaces the one that was spent"},
		"refresh token empty":     {`{"access_token":"a","refresh_token":""}`, granted(unchanged), "an empty value is a missing one, so the old token is kept"},
		"refresh token null":      {`{"access_token":"a","refresh_token":null}`, granted(unchanged), "null is missing, so the old token is kept"},
		"scope as a list":         {`{"access_token":"a","scope":["x","y"]}`, granted(func(m *meaning) { m.Scope = "x y" }), "Twitch writes one"},
		"identity token":          {`{"access_token":"a","id_token":"secret"}`, granted(unchanged), "it is a credential, and no extra"},
		"extras":                  {`{"access_token":"a","n":1.50,"t":true,"s":"x","o":{},"l":[],"z":null}`, granted(func(m *meaning) { m.Extra = map[string]string{"n": "1.50", "t": "true", "s": "x"} }), "scalars are told as they were written"},
		"credentials by name":     {`{"access_token":"a","device_secret":"x","id_token_2":"x","session_password":"x","tokens":3}`, granted(unchanged), "they are credentials, and no extras"},
		"a JWT by another name":   {`{"access_token":"a","user":"eyJhbGciOiJub25lIn0.eyJzdWIiOiJ4In0.c2ln"}`, granted(unchanged), "who has it is the user"},
		"a JWE by another name":   {`{"access_token":"a","user":"eyJhbGciOiJkaXIifQ..aXY.dGV4dA.dGFn"}`, granted(unchanged), "likewise"},
		"a token within a link":   {`{"access_token":"a","refresh_token":"long-enough","renew":"https://x/?r=long-enough"}`, granted(func(m *meaning) { m.Refresh = "long-enough" }), "it is the token under another name"},
		"control characters":      {`{"access_token":"a","n":"5\r\nX-Admin: yes","e":"\u001b[2J","s":"x"}`, granted(func(m *meaning) { m.Extra = map[string]string{"s": "x"} }), "a line end would begin another header at a consumer"},
		"what looks alike":        {`{"access_token":"a","n":"eyJ","v":"1.2.3"}`, granted(func(m *meaning) { m.Extra = map[string]string{"n": "eyJ", "v": "1.2.3"} }), "neither is signed"},
		"the same token twice":    {`{"access_token":"a","access_token":"a"}`, granted(unchanged), "both are the same"},
		"escapes":                 {`{"access_token":"\u0061"}`, granted(unchanged), "JSON may write a character in two ways"},
		"another letter":          {`{"Access_Token":"b","access_token":"a"}`, granted(unchanged), "names of members have a case, and it is a credential all the same"},
		"tokens differ":           {`{"access_token":"a","access_token":"b"}`, lost("the reply has two different members access_token"), "one of them may be garbage"},
		"refresh tokens differ":   {`{"access_token":"a","refresh_token":"b","refresh_token":"c"}`, lost("the reply has two different members refresh_token"), "presenting the wrong one could revoke the login"},
		"number":                  {`{"access_token":12345}`, lost("access_token is not a string"), "the standard says string, and digits may have been lost"},
		"boolean":                 {`{"access_token":true}`, lost("access_token is not a string"), "it is no token"},
		"object":                  {`{"access_token":{"value":"a"}}`, lost("access_token is not a string"), "it is no token"},
		"null":                    {`{"access_token":null}`, lost("the reply has no access_token; its members are access_token"), "null is missing"},
		"empty":                   {`{"access_token":""}`, lost("the reply has no access_token; its members are access_token"), "an empty value is a missing one"},
		"missing":                 {`{"token_type":"bearer","refresh_token":"r"}`, lost("the reply has no access_token; its members are refresh_token, token_type"), "the refresh token that was presented may be spent"},
		"refresh token a number":  {`{"access_token":"a","refresh_token":5}`, lost("refresh_token is not a string"), "keeping the old one would present it again"},
		"line break in a token":   {`{"access_token":"a\r\nX-Header: b"}`, lost("access_token holds characters that no token has"), "it would end the header it is used in"},
		"broken character":        {"{\"access_token\":\"a\xff\"}", lost("access_token holds characters that no token has"), "the reply was mangled on its way"},
		"half a surrogate":        {`{"access_token":"a\ud800"}`, lost("access_token holds characters that no token has"), "the reply was mangled on its way"},
		"line break in a refresh": {`{"access_token":"a","refresh_token":"r\n"}`, lost("refresh_token holds characters that no token has"), "it would not be the token that was issued"},
		"garbage after":           {`{"access_token":"a"} x`, lost("the reply is not a JSON object"), "two replies may have run into each other"},
		"two objects":             {`{"access_token":"a"}{"access_token":"b"}`, lost("the reply is not a JSON object"), "two replies may have run into each other"},
		"cut off":                 {`{"access_token":"a","refresh_to`, lost("the reply is not a JSON object"), "the refresh token is missing from it"},
		"list of one":             {`[{"access_token":"a"}]`, lost("the reply is not a JSON object"), "a list is no reply"},
		"string":                  {`"access_token"`, lost("the reply is not a JSON object"), "a string is no reply"},
		"nothing said":            {`null`, lost("the reply is not a JSON object"), "null is no reply"},
		"no body":                 {``, lost("the reply is not a JSON object"), "an empty body is no reply"},
		"a page":                  {`<html></html>`, lost("an HTML page, not a reply of the API"), "a page is no reply"},
		"deep":                    {strings.Repeat(`{"a":`, 30000), lost("the reply is not a JSON object"), "nesting must not exhaust the stack"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			got := meaningOf(oauth2(Form, ClientBody).Read(token.RefreshToken, ok(c.body)))
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("read wrongly (-want +got), but %s\n%s", c.why, diff)
			}
		})
	}
}

func lost(description string) meaning {
	return refusal(token.Unknown, http.StatusOK, InvalidReply, description)
}

func TestRetryAfter(t *testing.T) {
	const date = "Mon, 05 Jan 2026 10:00:00 GMT"
	cases := map[string]struct {
		value, date string
		want        time.Duration
		why         string
	}{
		"seconds":        {"17", "", 17 * time.Second, "this is the usual form"},
		"zero":           {"0", "", 0, "the API is ready again"},
		"negative":       {"-5", "", 0, "there is no waiting backwards"},
		"a day":          {"86400", "", time.Hour, "no API may put us to sleep"},
		"twenty digits":  {"99999999999999999999", "", time.Hour, "it must not overflow an integer"},
		"date":           {"Mon, 05 Jan 2026 10:00:45 GMT", date, 45 * time.Second, "it counts from the reply's own clock"},
		"date past":      {"Mon, 05 Jan 2026 09:00:00 GMT", date, 0, "there is no waiting backwards"},
		"date far":       {"Tue, 05 Jan 2027 10:00:00 GMT", date, time.Hour, "no API may put us to sleep"},
		"date, no clock": {"Mon, 05 Jan 2026 10:00:45 GMT", "", 0, "our clock may be wrong by a day"},
		"word":           {"soon", date, 0, "it says nothing"},
		"empty":          {"", date, 0, "it says nothing"},
	}
	for name, c := range cases {
		header := http.Header{"Retry-After": {c.value}, "Date": {c.date}}
		answer := oauth2(Form, ClientBody).Read(token.RefreshToken, Reply{Status: http.StatusTooManyRequests, Header: header})
		if answer.RetryAfter != c.want {
			t.Errorf("%s: got %s, want %s, because %s", name, answer.RetryAfter, c.want, c.why)
		}
	}
}

// A Set can be logged by accident, and a reply by nobody.
func TestAnswerHidesTokens(t *testing.T) {
	answer := oauth2(Form, ClientBody).Read(token.RefreshToken, ok(`{"access_token":"access-7391","refresh_token":"refresh-7391"}`))
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x"} {
		printed := fmt.Sprintf(verb, answer)
		if strings.Contains(printed, "7391") || strings.Contains(printed, fmt.Sprintf("%x", "7391")) {
			t.Errorf("%s prints a token: %s", verb, printed)
		}
	}
}

// TestAge: created_at is compared with the reply's own Date, never with a clock of ours.
func TestAge(t *testing.T) {
	const date = "Mon, 05 Jan 2026 10:00:00 GMT" // 1767607200
	cases := map[string]struct {
		created, date string
		want          time.Duration
		why           string
	}{
		"made for this reply":     {"1767607200", date, 0, "it is new"},
		"an hour ago":             {"1767603600", date, time.Hour, "somebody else was given it first"},
		"as a string":             {`"1767603600"`, date, time.Hour, "some servers quote numbers"},
		"in the future":           {"1767607260", date, 0, "two machines of the server differ"},
		"years ago":               {"123456789", date, 0, "no access token is so old: this is the example of the documentation"},
		"in milliseconds":         {"1767603600000", date, 0, "it is far in the future"},
		"as a date":               {`"2026-01-05T09:00:00Z"`, date, 0, "nobody documents it"},
		"zero":                    {"0", date, 0, "it is not told"},
		"negative":                {"-5", date, 0, "it is no time"},
		"an object":               {"{}", date, 0, "it is no time"},
		"a fraction":              {"1767603600.5", date, 0, "it is no whole number of seconds"},
		"beyond what is a number": {"99999999999999999999", date, 0, "it must not overflow"},
		"no date":                 {"1767603600", "", 0, "the server's clock is not known"},
		"no date that is one":     {"1767603600", "today", 0, "the server's clock is not known"},
	}
	for name, c := range cases {
		reply := Reply{Status: 200, Header: http.Header{}, Body: []byte(`{"access_token":"a","expires_in":7200,"created_at":` + c.created + `}`)}
		reply.Header.Set("Date", c.date)
		for _, api := range apis() {
			if got := api.Read(token.ClientCredentials, reply).Set; got.Age != c.want || got.Life != 2*time.Hour {
				t.Errorf("%s at %s: %s old with a life of %s, want %s, because %s", name, api.Name(), got.Age, got.Life, c.want, c.why)
			}
		}
	}
}
