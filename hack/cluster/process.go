package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// A processRecord is what a pidfile holds: enough to be sure that a pid still
// belongs to the process that was started, and not to one that came later.
type processRecord struct {
	PID        int    `json:"pid"`
	StartTicks uint64 `json:"startTicks"` // since boot, from /proc/PID/stat
	BootID     string `json:"bootId"`
	Executable string `json:"executable"`
}

// sameAs compares everything: after a reboot pids and start times repeat.
func (r processRecord) sameAs(other processRecord) bool {
	return r.PID > 1 && r == other
}

// parseStat reads the state and the start time from a /proc/PID/stat line. The
// command name is in parentheses and may contain spaces and parentheses itself,
// so the fields are counted from the last one.
func parseStat(line string) (state byte, startTicks uint64, err error) {
	end := strings.LastIndexByte(line, ')')
	if end < 0 {
		return 0, 0, errors.New("no command name in stat line")
	}
	fields := strings.Fields(line[end+1:])
	if len(fields) < 20 {
		return 0, 0, errors.New("stat line is too short")
	}
	startTicks, err = strconv.ParseUint(fields[19], 10, 64) // field 22 of proc(5)
	return fields[0][0], startTicks, err
}

func bootID() string {
	data, _ := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return strings.TrimSpace(string(data))
}

// inspect describes the process that has this pid now. A process that has ended
// but was not collected yet counts as gone.
func inspect(pid int) (processRecord, error) {
	line, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return processRecord{}, err
	}
	state, ticks, err := parseStat(string(line))
	if err != nil {
		return processRecord{}, err
	}
	if state == 'Z' || state == 'X' {
		return processRecord{}, os.ErrProcessDone
	}
	exe, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid))
	if err != nil {
		return processRecord{}, err
	}
	return processRecord{
		PID: pid, StartTicks: ticks, BootID: bootID(),
		Executable: strings.TrimSuffix(exe, " (deleted)"), // the cache may have been rebuilt
	}, nil
}

func (c Config) pidfile(name string) string { return c.path("run", name+".pid") }
func (c Config) logfile(name string) string { return c.path("logs", name+".log") }

func readRecord(file string) (processRecord, error) {
	var r processRecord
	data, err := os.ReadFile(file)
	if err != nil {
		return r, err
	}
	return r, json.Unmarshal(data, &r)
}

// running tells whether the process of a pidfile is alive and still the same.
func running(cfg Config, name string) (processRecord, bool) {
	noted, err := readRecord(cfg.pidfile(name))
	if err != nil {
		return noted, false
	}
	now, err := inspect(noted.PID)
	return noted, err == nil && noted.sameAs(now)
}

// process is one that this run has started; exited is closed when it ends.
type process struct {
	name   string
	exited chan struct{}
}

// start runs a program that outlives this one: in a session of its own, with
// its output in a log file and its identity in a pidfile.
func start(cfg Config, name, exe string, args, env []string) (*process, error) {
	log, err := os.OpenFile(cfg.logfile(name), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o640)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd := exec.Command(exe, args...)
	cmd.Dir = cfg.Dir
	cmd.Env = append(os.Environ(), env...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting %s: %w: run `cluster binaries` first", name, err)
	}
	p := &process{name: name, exited: make(chan struct{})}
	record, err := inspect(cmd.Process.Pid)
	go func() {
		_ = cmd.Wait() // why it ended is in its log
		close(p.exited)
	}()
	if err != nil {
		return nil, fmt.Errorf("%s ended at once: see %s", name, cfg.logfile(name))
	}
	data, err := json.Marshal(record)
	if err != nil {
		return nil, err
	}
	return p, writeFile(cfg.pidfile(name), data, 0o644)
}

// stop ends the process of a pidfile, if it is still the same one: politely
// first, and for good after the grace period.
func stop(cfg Config, name string, grace time.Duration) error {
	defer os.Remove(cfg.pidfile(name))
	record, alive := running(cfg, name)
	if !alive {
		return nil
	}
	return terminate(record, grace)
}

func terminate(record processRecord, grace time.Duration) error {
	for _, step := range []struct {
		signal syscall.Signal
		wait   time.Duration
	}{{syscall.SIGTERM, grace}, {syscall.SIGKILL, 5 * time.Second}} {
		if step.wait == 0 {
			continue
		}
		if now, err := inspect(record.PID); err != nil || !record.sameAs(now) {
			return nil
		}
		if err := syscall.Kill(record.PID, step.signal); err != nil && !errors.Is(err, syscall.ESRCH) {
			return fmt.Errorf("ending process %d (%s): %w", record.PID, record.Executable, err)
		}
		for deadline := time.Now().Add(step.wait); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
			if now, err := inspect(record.PID); err != nil || !record.sameAs(now) {
				return nil
			}
		}
	}
	return fmt.Errorf("process %d (%s) does not end", record.PID, record.Executable)
}

// writeFile replaces a file in one step, so that nobody reads half of it.
func writeFile(file string, data []byte, mode os.FileMode) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	temporary := fmt.Sprintf("%s.%d", file, os.Getpid())
	if err := os.WriteFile(temporary, data, mode); err != nil {
		return err
	}
	return os.Rename(temporary, file)
}
