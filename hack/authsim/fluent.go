package authsim

import (
	"encoding/json"
	"strconv"
)

// fluentGrantBody is the reply to a granted request, exactly the documented fields.
type fluentGrantBody struct {
	AccessToken  string          `json:"access_token"`
	TokenType    string          `json:"token_type"`
	RefreshToken string          `json:"refresh_token,omitempty"`
	ExpiresIn    json.RawMessage `json:"expires_in,omitempty"` // raw, so that a fault can make it odd
	Scope        string          `json:"scope"`
	RetailerID   int             `json:"Retailer_id"`
	FirstName    string          `json:"FirstName"`
	LastName     string          `json:"LastName"`
	Roles        []string        `json:"Roles"`
}

func (s *Server) fluentGrant(handed pair, expiresIn json.RawMessage) any {
	user := s.users[handed.access.Username]
	body := fluentGrantBody{
		AccessToken: handed.access.Value,
		TokenType:   "bearer",
		ExpiresIn:   expiresIn,
		Scope:       handed.access.Scope,
		RetailerID:  user.RetailerID,
		FirstName:   user.FirstName,
		LastName:    user.LastName,
		Roles:       append([]string{}, user.Roles...), // an empty list, never null
	}
	if handed.refresh != nil {
		body.RefreshToken = handed.refresh.Value
	}
	return body
}

// fluentBody is the vendor's own error: a list of codes, which are strings, and
// messages, which are strings or objects.
type fluentBody struct {
	Errors []fluentError `json:"errors"`
}

type fluentError struct {
	Code    string `json:"code"`
	Message any    `json:"message"`
}

// fluentAnswer has a code of its own, because it need not be the status.
func fluentAnswer(status, code int, message any) answer {
	listed := fluentError{Code: strconv.Itoa(code), Message: message}
	return jsonAnswer(status, fluentBody{Errors: []fluentError{listed}})
}
