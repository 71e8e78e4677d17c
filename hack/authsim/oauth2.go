package authsim

import "encoding/json"

// plainBody is the reply of RFC 6749 section 5.1.
type plainBody struct {
	AccessToken  string          `json:"access_token"`
	TokenType    string          `json:"token_type"`
	ExpiresIn    json.RawMessage `json:"expires_in,omitempty"` // raw, so that a fault can make it odd
	RefreshToken string          `json:"refresh_token,omitempty"`
	Scope        string          `json:"scope,omitempty"`
}

func plainBodyOf(handed pair, expiresIn json.RawMessage) plainBody {
	body := plainBody{
		AccessToken: handed.access.Value, TokenType: "bearer", ExpiresIn: expiresIn, Scope: handed.access.Scope,
	}
	if handed.refresh != nil {
		body.RefreshToken = handed.refresh.Value
	}
	return body
}

func (s *Server) plainGrant(handed pair, expiresIn json.RawMessage) any {
	return plainBodyOf(handed, expiresIn)
}
