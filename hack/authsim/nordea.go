package authsim

import (
	"crypto/rand"
	"encoding/json"
	"net/http"
	"strconv"
	"time"
)

// nordeaBody is the reply to a granted request. It has no scope.
type nordeaBody struct {
	TokenType    string          `json:"token_type"`
	AccessToken  string          `json:"access_token"`
	ExpiresIn    json.RawMessage `json:"expires_in,omitempty"`
	RefreshToken string          `json:"refresh_token,omitempty"`
}

// nordeaEnvelope is what some replies come in.
type nordeaEnvelope struct {
	Header   nordeaHeader `json:"group_header"`
	Response nordeaBody   `json:"response"`
}

type nordeaHeader struct {
	Identification string `json:"message_identification"`
	Created        string `json:"creation_date_time"`
	Code           int    `json:"http_code"`
}

func (s *Server) nordeaGrant(handed pair, expiresIn json.RawMessage) any {
	body := nordeaBody{TokenType: "BEARER", AccessToken: handed.access.Value, ExpiresIn: expiresIn}
	if handed.refresh != nil {
		body.RefreshToken = handed.refresh.Value
	}
	if !s.config.Wrapped {
		return body
	}
	created := s.now().Format(time.RFC3339Nano)
	return nordeaEnvelope{Header: nordeaHeader{rand.Text(), created, http.StatusOK}, Response: body}
}

// nordeaFailures is the API's own error.
type nordeaFailures struct {
	Header nordeaErrorHeader `json:"groupHeader"`
	Error  nordeaError       `json:"error"`
}

type nordeaErrorHeader struct {
	Identification string `json:"messageIdentification"`
	Code           int    `json:"httpCode"`
}

type nordeaError struct {
	Code     int             `json:"httpCode"`
	Failures []nordeaFailure `json:"failures"`
}

type nordeaFailure struct {
	Code        string `json:"code"`
	Description string `json:"description"`
	Path        string `json:"path"`
}

// nordeaGateway is the error of the gateway that stands before the API and
// knows the clients.
type nordeaGateway struct {
	Code    string `json:"httpCode"`
	Message string `json:"httpMessage"`
	More    string `json:"moreInformation"`
}

func nordeaRefusal(ruled ruling) answer {
	// The other outcomes are failures of the request.
	//exhaustive:ignore
	switch ruled.outcome {
	case OutcomeInvalidClient:
		status := http.StatusUnauthorized
		return jsonAnswer(status, nordeaGateway{strconv.Itoa(status), http.StatusText(status), "Invalid client id or secret."})
	case OutcomeInvalidGrant:
		if ruled.expired {
			return nordeaFailed(http.StatusUnauthorized, nordeaFailure{Code: "error.token.expired", Description: "The token has expired"})
		}
		return nordeaFailed(http.StatusBadRequest, nordeaFailure{"error.token.invalid", "The token is not valid", "refresh_token"})
	}
	return nordeaFailed(http.StatusBadRequest, nordeaFailure{Code: "error.validation", Description: ruled.description})
}

func nordeaFailed(status int, failure nordeaFailure) answer {
	return jsonAnswer(status, nordeaFailures{
		Header: nordeaErrorHeader{rand.Text(), status},
		Error:  nordeaError{status, []nordeaFailure{failure}},
	})
}
