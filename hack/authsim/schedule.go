package authsim

import (
	"fmt"
	"slices"
)

// scheduled is a fault that waits for its requests.
type scheduled struct {
	Fault
	seen   int // requests that counted since it was added
	struck int // requests that it went wrong for
}

// sees counts one request and reports whether the fault is due on it.
func (f *scheduled) sees(grant string) bool {
	if f.Grant != grant && (f.Grant != "" || grant == GrantRevocation) {
		return false
	}
	f.seen++
	if f.At > 0 {
		return f.seen >= f.At && f.seen < f.At+f.Times
	}
	return f.Times == 0 || f.struck < f.Times
}

// over reports whether the fault will never be due again.
func (f *scheduled) over() bool {
	if f.At > 0 {
		return f.seen >= f.At+f.Times-1
	}
	return f.Times > 0 && f.struck >= f.Times
}

// AddFault schedules a fault; its requests are counted from now. It panics on
// one that ParseFault would not accept.
func (s *Server) AddFault(fault Fault) {
	fault = fault.complete()
	if err := fault.check(); err != nil {
		panic(fmt.Sprintf("authsim: AddFault(%s): %v", fault, err))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = append(s.faults, &scheduled{Fault: fault})
}

// ClearFaults forgets every fault still to come. One that strikes a request
// under way is not called back.
func (s *Server) ClearFaults() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = nil
}

// nextFault picks the fault of one request: of several that are due, the one
// that was added first. All of them count the request. The zero Fault means that
// all is well. Call with the lock held.
func (s *Server) nextFault(grant string) Fault {
	var chosen *scheduled
	for _, fault := range s.faults {
		if due := fault.sees(grant); due && chosen == nil {
			chosen = fault
		}
	}
	if chosen != nil {
		chosen.struck++
	}
	s.faults = slices.DeleteFunc(s.faults, (*scheduled).over)
	if chosen == nil {
		return Fault{}
	}
	return chosen.Fault
}
