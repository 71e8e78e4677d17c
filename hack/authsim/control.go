package authsim

import (
	"fmt"
	"io"
	"net/http"
	"strings"
)

// healthBody answers /healthz.
type healthBody struct {
	OK      bool   `json:"ok"`
	Account string `json:"account,omitempty"`
}

func (s *Server) serveHealth(w http.ResponseWriter, _ *http.Request) {
	_ = jsonAnswer(http.StatusOK, healthBody{OK: true, Account: s.config.Account}).send(w)
}

func (s *Server) serveLedger(w http.ResponseWriter, _ *http.Request) {
	_ = jsonAnswer(http.StatusOK, s.Ledger()).send(w)
}

// serveAddFaults adds all of the faults or, where one cannot be read, none.
func (s *Server) serveAddFaults(w http.ResponseWriter, r *http.Request) {
	text, err := readText(w, r)
	if err == nil {
		err = s.addFaults(text)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func (s *Server) addFaults(text string) error {
	var faults []Fault
	for i, line := range strings.Split(text, "\n") {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		fault, err := ParseFault(line)
		if err != nil {
			return fmt.Errorf("line %d: %w", i+1, err)
		}
		faults = append(faults, fault)
	}
	for _, fault := range faults {
		s.AddFault(fault)
	}
	return nil
}

func (s *Server) serveClearFaults(w http.ResponseWriter, _ *http.Request) {
	s.ClearFaults()
	w.WriteHeader(http.StatusNoContent)
}

// serveSetPassword takes the body as it is, but for one newline at its end.
func (s *Server) serveSetPassword(w http.ResponseWriter, r *http.Request) {
	text, err := readText(w, r)
	password := strings.TrimSuffix(text, "\n")
	if err != nil || password == "" {
		http.Error(w, "the body is to be the new password", http.StatusBadRequest)
		return
	}
	if !s.changePassword(r.PathValue("name"), password) {
		http.Error(w, "no such user", http.StatusNotFound)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// serveSeed answers with the bare token, ready to be put into a Secret.
func (s *Server) serveSeed(w http.ResponseWriter, r *http.Request) {
	token, ok := s.seed(r.PathValue("name"), r.URL.Query().Get("client"))
	if !ok {
		http.Error(w, "no such user or client", http.StatusNotFound)
		return
	}
	_, _ = io.WriteString(w, token)
}

// serveCode answers with the bare authorization code.
func (s *Server) serveCode(w http.ResponseWriter, r *http.Request) {
	asked := r.URL.Query()
	code, ok := s.issueCode(r.PathValue("name"), asked.Get("client"), asked.Get("redirect_uri"))
	if !ok {
		http.Error(w, "no such user or client", http.StatusNotFound)
		return
	}
	_, _ = io.WriteString(w, code)
}

func serveNotFound(w http.ResponseWriter, _ *http.Request) {
	_ = oauthAnswer(http.StatusNotFound, "not_found", "Not found").send(w)
}

func readText(w http.ResponseWriter, r *http.Request) (string, error) {
	text, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	return string(text), err
}
