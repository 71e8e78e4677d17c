package projection

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
)

// The names under which the owner of a FluentCredential lists what templates have a field of its own for. The first of
// them is Fluent Commerce's, as its reply has it.
const (
	retailerMember = "Retailer_id"
	retailerField  = "RetailerID"
	rolesField     = "Roles"
)

// consumerValues are what a template of a FluentToken can use. Access token, type, expiry and scope describe the token that
// the consumer was given, and the account is in the spec. Everything else of the reply belongs to the owner, who lists
// what consumers see. RetailerID and Roles are methods, so that a template that uses one which is not listed fails.
type consumerValues struct {
	AccessToken   string
	TokenType     string
	Authorization string
	ExpiresAt     string
	Scope         string
	Account       string
	Extra         map[string]string

	// A template can print these, so nothing is in them that is not listed.
	limited Values
	listed  []string
}

func forConsumer(values Values, listed []string) consumerValues {
	v := consumerValues{listed: slices.Clone(listed)}
	limited := values
	limited.Extra = map[string]string{}
	for name, value := range values.Extra {
		if v.lists(name) {
			limited.Extra[name] = value
		}
	}
	if !v.lists(retailerField, retailerMember) {
		limited.RetailerID = ""
	}
	if !v.lists(rolesField) {
		limited.Roles = nil
	}
	v.AccessToken, v.TokenType, v.Authorization = limited.AccessToken, limited.TokenType, limited.Authorization
	v.ExpiresAt, v.Scope, v.Account, v.Extra = limited.ExpiresAt, limited.Scope, limited.Account, limited.Extra
	v.limited = limited
	return v
}

func (v consumerValues) lists(names ...string) bool {
	return slices.ContainsFunc(names, func(name string) bool { return slices.Contains(v.listed, name) })
}

// RetailerID is the retailer of the token's user.
func (v consumerValues) RetailerID() (string, error) {
	if !v.lists(retailerField, retailerMember) {
		return "", &unlistedError{member: retailerField}
	}
	return v.limited.RetailerID, nil
}

// Roles are the roles of the token's user.
func (v consumerValues) Roles() ([]string, error) {
	if !v.lists(rolesField) {
		return nil, &unlistedError{member: rolesField}
	}
	return v.limited.Roles, nil
}

// MarshalJSON writes what the template can use, in the form that Values has.
func (v consumerValues) MarshalJSON() ([]byte, error) { return json.Marshal(v.limited) }

// String likewise, for a template that prints all values at once.
func (v consumerValues) String() string { return fmt.Sprint(v.limited) }

// unlistedError is about a member that the owner does not list. It depends on the template and the list alone: it does not
// show whether the reply has the member.
type unlistedError struct{ member string }

func (e *unlistedError) Error() string {
	return fmt.Sprintf("it uses %s of the API's reply, which the FluentCredential does not list in "+
		"spec.allowedNamespaces.replyMembers: its owner can list it there, or the template do without it", e.member)
}

// IsUnlisted reports whether a rendering failed because it uses what the owner does not list.
func IsUnlisted(err error) bool {
	var unlisted *unlistedError
	return errors.As(err, &unlisted)
}

// missingEntry matches what a template reports of a map that lacks an entry. The name is the template's own.
var missingEntry = regexp.MustCompile(`map has no entry for key "([^"]*)"$`)

// unlistedIn returns the error about a member that is not listed, or nil if the rendering failed for another reason.
func (v consumerValues) unlistedIn(err error) error {
	var unlisted *unlistedError
	if errors.As(err, &unlisted) {
		return unlisted
	}
	if missing := missingEntry.FindStringSubmatch(err.Error()); missing != nil && !v.lists(missing[1]) {
		return &unlistedError{member: missing[1]}
	}
	return nil
}
