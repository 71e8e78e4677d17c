package plan

import (
	"testing"
	"time"
)

// TestExpiryOfANewToken: now is the moment before the request.
func TestExpiryOfANewToken(t *testing.T) {
	tests := map[string]struct {
		life, age time.Duration
		want      time.Duration
		why       string
	}{
		"nothing but a life":     {2 * time.Hour, 0, 2 * time.Hour, "it counts from before the request"},
		"new":                    {2 * time.Hour, time.Second, 2*time.Hour - time.Second, "the second on which it was made has passed"},
		"somebody else's too":    {2 * time.Hour, 100 * time.Minute, 20 * time.Minute, "it has lived for a while, and its whole life is told"},
		"what is left":           {20 * time.Minute, 100 * time.Minute, 20 * time.Minute, "it has not expired, so this is what is left of it"},
		"as old as it becomes":   {2 * time.Hour, 2 * time.Hour, 2 * time.Hour, "nobody gives a token that has expired"},
		"a clock that is no use": {2 * time.Hour, 300 * 24 * time.Hour, 2 * time.Hour, "a clock that differs does not make a fresh token expired"},
		"no life":                {0, time.Minute, 0, "the server says that it has expired"},
	}
	for name, test := range tests {
		got := Told{Sent: now, Life: test.life, Age: test.age}.First()
		if !got.At.Equal(in(test.want)) || !got.Latest.Equal(in(test.life)) {
			t.Errorf("%s: ends after %s, %s at the latest; want %s and %s: %s",
				name, got.At.Sub(now), got.Latest.Sub(now), test.want, test.life, test.why)
		}
	}
}

// TestExpiryOfATokenGivenAgain: the first reply came now, with a token that is so old; the same one comes again after a while.
func TestExpiryOfATokenGivenAgain(t *testing.T) {
	const whole = 2 * time.Hour
	tests := map[string]struct {
		life, age time.Duration // of the first reply
		after     time.Duration
		again     time.Duration // expires_in of the second
		older     bool          // created_at is told
		assumed   bool
		want      time.Duration
		why       string
	}{
		"its whole life, again":            {whole, 0, time.Hour, whole, false, false, whole, "being given again makes nothing live longer"},
		"its whole life, by created_at":    {whole, time.Hour, 30 * time.Minute, whole, true, false, time.Hour, "both replies say the same"},
		"what is left":                     {whole, 0, time.Hour, time.Hour, false, false, whole, "both replies say the same"},
		"what is left, by created_at":      {90 * time.Minute, 30 * time.Minute, 45 * time.Minute, 45 * time.Minute, true, false, 90 * time.Minute, "the first one could be read as a whole life; that it falls tells better"},
		"less than was promised":           {whole, 0, time.Hour, time.Minute, false, false, 61 * time.Minute, "the server has thought better of it"},
		"at its end, to the second":        {whole, 0, whole + time.Second, whole, false, false, whole, "servers count whole seconds, and the first reply was under way for a while"},
		"a minute after its end":           {whole, 0, whole + time.Minute, whole, false, false, whole, "a reply may be under way for half a minute"},
		"long after its end":               {whole, 0, whole + 2*time.Minute, time.Hour, false, false, whole + 2*time.Minute + time.Hour, "it lives, so the end was wrong: the clock was set"},
		"a life that was assumed":          {time.Hour, 0, 40 * time.Minute, time.Hour, false, true, time.Hour, "an assumption is not renewed by being given again"},
		"outlives what was assumed":        {time.Hour, 0, time.Hour + time.Second, time.Hour, false, true, 2*time.Hour + time.Second, "it lives, so the assumption was wrong"},
		"after the clock was set back":     {whole, 0, -time.Hour, whole, false, false, time.Hour, "the earlier end counts"},
		"at once":                          {whole, 0, 0, whole, false, false, whole, "nothing has changed"},
		"a second later, in whole seconds": {whole, time.Hour, time.Second, whole, true, false, time.Hour, "no time has passed in which it could have fallen"},
	}
	for name, test := range tests {
		known := Told{Sent: now, Life: test.life, Age: test.age}.First()
		told := Told{Sent: in(test.after), Life: test.again, Assumed: test.assumed}
		if test.older {
			told.Age = test.age + test.after
		}
		got := told.Again(known, now)
		if !got.At.Equal(in(test.want)) || got.Latest.Before(got.At) {
			t.Errorf("%s: ends after %s, %s at the latest; want %s: %s", name, got.At.Sub(now), got.Latest.Sub(now), test.want, test.why)
		}
	}
}
