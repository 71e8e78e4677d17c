package authsim

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
)

var redirectStatuses = []int{
	http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther,
	http.StatusTemporaryRedirect, http.StatusPermanentRedirect,
}

// faultyGrants are the grants that a fault can be held to.
var faultyGrants = []string{
	GrantPassword, GrantRefreshToken, GrantClientCredentials, GrantAuthorizationCode, GrantRevocation,
}

// complete fills in the defaults and brings the texts to one line each, so that
// a fault and its text form say the same.
func (f Fault) complete() Fault {
	if f.At > 0 && f.Times == 0 {
		f.Times = 1
	}
	if f.Kind == FaultRefuse && f.Code == "" {
		f.Code = string(OutcomeInvalidGrant)
	}
	if f.Status == 0 {
		f.Status = f.defaultStatus()
	}
	f.Description = strings.TrimSpace(f.Description)
	f.RetryAfter = strings.TrimSpace(f.RetryAfter)
	var compacted bytes.Buffer
	if json.Compact(&compacted, f.ExpiresIn) == nil {
		f.ExpiresIn = compacted.Bytes()
	}
	return f
}

func (f Fault) defaultStatus() int {
	// The other kinds have a status of their own, or none.
	//exhaustive:ignore
	switch f.Kind {
	case FaultRefuse:
		if f.Code == string(OutcomeInvalidClient) {
			return http.StatusUnauthorized
		}
		return http.StatusBadRequest
	case FaultServerError, FaultServerErrorAfter:
		return http.StatusInternalServerError
	case FaultHTML:
		return http.StatusBadGateway
	case FaultRedirect:
		return http.StatusTemporaryRedirect
	}
	return 0
}

// check reports the first thing that makes no sense in a completed fault.
func (f Fault) check() error {
	if f.At < 0 || f.Times < 0 {
		return errors.New("a request's number and a number of times cannot be negative")
	}
	if f.Grant != "" && !slices.Contains(faultyGrants, f.Grant) {
		return fmt.Errorf("unknown grant %q: want one of %s", f.Grant, strings.Join(faultyGrants, ", "))
	}
	if _, known := wordings[f.Kind]; !known {
		return fmt.Errorf("unknown kind %q: want one of %s", f.Kind, kindNames())
	}
	if strings.ContainsAny(f.Description+f.RetryAfter, "\r\n") {
		return errors.New("a text spans more than one line")
	}
	return f.checkParameters()
}

func (f Fault) checkParameters() error {
	// The other kinds have no parameters to check.
	//exhaustive:ignore
	switch f.Kind {
	case FaultRefuse:
		return f.checkRefusal()
	case FaultServerError, FaultServerErrorAfter:
		return f.checkStatus(500)
	case FaultHTML:
		return f.checkStatus(200)
	case FaultRedirect:
		return f.checkRedirect()
	case FaultSlow:
		if f.Delay <= 0 {
			return errors.New("slow needs a delay, such as 2s")
		}
	case FaultTruncate:
		if f.KeepBytes < 0 {
			return errors.New("truncate cannot keep less than nothing")
		}
	case FaultExpiresIn:
		if len(f.ExpiresIn) > 0 && !json.Valid(f.ExpiresIn) {
			return fmt.Errorf("expires-in %s: not JSON", f.ExpiresIn)
		}
	}
	return nil
}

func (f Fault) checkStatus(least int) error {
	if f.Status < least || f.Status > 599 {
		return fmt.Errorf("%s: status %d is not within %d to 599", f.Kind, f.Status, least)
	}
	return nil
}

func (f Fault) checkRefusal() error {
	if len(strings.Fields(f.Code)) != 1 || strings.TrimSpace(f.Code) != f.Code {
		return fmt.Errorf("refuse: the code %q is not one word", f.Code)
	}
	return f.checkStatus(400)
}

func (f Fault) checkRedirect() error {
	if !slices.Contains(redirectStatuses, f.Status) {
		return fmt.Errorf("redirect: status %d is none of %v", f.Status, redirectStatuses)
	}
	if len(strings.Fields(f.Location)) != 1 {
		return fmt.Errorf("redirect needs one location, not %q", f.Location)
	}
	return nil
}
