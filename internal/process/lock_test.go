//go:build unix

package process

import (
	"os"
	"path/filepath"
	"testing"
)

// Another user must not choose which files are truncated.
func TestLocksNeedAPrivateDirectory(t *testing.T) {
	t.Parallel()
	parent := t.TempDir()
	private, open, link := filepath.Join(parent, "private"), filepath.Join(parent, "open"), filepath.Join(parent, "link")
	for range 2 { // it may exist already
		if err := makePrivate(private); err != nil {
			t.Error(err)
		}
	}
	if err := os.Mkdir(open, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(open, 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(private, link); err != nil {
		t.Fatal(err)
	}
	for _, directory := range []string{open, link, filepath.Join(parent, "missing", "x")} {
		if err := makePrivate(directory); err == nil {
			t.Errorf("%s is accepted", directory)
		}
	}
}
