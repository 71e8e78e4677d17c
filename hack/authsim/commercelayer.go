package authsim

import "encoding/json"

// commerceLayerBody is the reply to a granted request; a token of a client
// alone has no owner.
type commerceLayerBody struct {
	plainBody
	CreatedAt int64  `json:"created_at"` // seconds since 1970
	OwnerID   string `json:"owner_id,omitempty"`
	OwnerType string `json:"owner_type,omitempty"`
}

func (s *Server) commerceLayerGrant(handed pair, expiresIn json.RawMessage) any {
	body := commerceLayerBody{plainBody: plainBodyOf(handed, expiresIn), CreatedAt: handed.access.Issued.Unix()}
	if user := s.users[handed.access.Username]; user != nil {
		body.OwnerID, body.OwnerType = user.OwnerID, "customer"
	}
	return body
}
