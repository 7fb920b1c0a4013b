package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/bridgekeeper/bridgekeeper/bridge/store"
	"github.com/bridgekeeper/bridgekeeper/bridge/store/adminapi"
)

// stdio as a file name stands for the standard output or input.
const stdio = "-"

func newBackupCommand() *cobra.Command {
	var data, out string
	cmd := &cobra.Command{
		Use:   "backup --out FILE",
		Short: "Write everything a store on SQLite has to one file",
		Long: `Backup writes the database and all attachments to one archive (tar, zstd, with
checksums), as they are at this moment. A store that runs goes on meanwhile: it
makes the backup itself, asked through a socket in its data folder, so this runs
where the store runs. The volume needs room for what is written meanwhile, not
for a copy. Without a running store the folder is read directly.

The archive holds every conversation: keep it as you would keep the database.

This is for SQLite. A store that keeps its conversations in PostgreSQL is backed
up with pg_dump, and restored with pg_restore and "bridge store restored".`,
		Example: `  kubectl exec -n shop default-store-0 -- /bridge store backup --out - > shop.backup
  bridge store backup --data bridgekeeper-data/shop/default --out shop.backup`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			summary, err := runBackup(cmd.Context(), data, out, cmd.OutOrStdout())
			if err != nil {
				return err
			}
			return tell(cmd.ErrOrStderr(), "backed up", summary)
		},
	}
	cmd.Flags().StringVar(&data, "data", "/data", "the store's data folder")
	cmd.Flags().StringVar(&out, "out", "", "file to write, which must not be there yet; - is the standard output")
	_ = cmd.MarkFlagRequired("out") // fails only for a flag that does not exist
	return cmd
}

func newRestoreCommand() *cobra.Command {
	var data, in string
	cmd := &cobra.Command{
		Use:   "restore --in FILE",
		Short: "Fill an empty data folder from a backup",
		Long: `Restore unpacks a backup into a data folder, which has to be empty: it never
overwrites. Checksums, the database and its schema version are checked first, and
the database appears in one step at the end; what a restore leaves that did not
finish is refused by the store. The schema of an older version is brought up to
date.

Messages that waited to be sent when the backup was made are not sent again by
themselves, as the store that it is of may have sent them since: they are dead
letters with status "unknown". Requeue (REST) with "unknown": "resend" those that
the contact did not get, with "skip" the others.

This is for SQLite. A store that keeps its conversations in PostgreSQL is
restored with pg_restore, and "bridge store restored" after it.`,
		Example: `  bridge store restore --data /data --in shop.backup
  kubectl attach -i -n shop restore < shop.backup   # the pod of config/restore, which has --in -`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			summary, err := runRestore(cmd.Context(), data, in, cmd.InOrStdin())
			if err != nil {
				return err
			}
			return tell(cmd.ErrOrStderr(), "restored", summary)
		},
	}
	cmd.Flags().StringVar(&data, "data", "/data", "the data folder to fill; it must be empty")
	cmd.Flags().StringVar(&in, "in", "", "the backup; - is the standard input")
	_ = cmd.MarkFlagRequired("in") // fails only for a flag that does not exist
	return cmd
}

func newRestoredCommand() *cobra.Command {
	var dsnFile string
	cmd := &cobra.Command{
		Use:   "restored --postgres-dsn-file FILE",
		Short: "Settle a PostgreSQL database that pg_restore has filled",
		Long: `Restored is run once after pg_restore, before a store is started on the database.
Messages that waited to be sent when the dump was made are not sent again by
themselves then, as the store that it is of may have sent them since: they are
dead letters with status "unknown". Requeue (REST) with "unknown": "resend" those
that the contact did not get, with "skip" the others. Event cursors that the old
store gave are refused with 410 from then on, so that readers begin anew.

A database that stores are connected to is refused.`,
		Example: `  pg_restore --dbname "$DSN" shop.dump && bridge store restored --postgres-dsn-file dsn`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			unknown, err := store.Restored(cmd.Context(), store.Options{PostgresDSNFile: dsnFile})
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.ErrOrStderr(), "settled: %d messages waited to be sent at the time of the dump and may have been sent since; they are dead letters with status unknown, to be requeued by a person\n", unknown)
			return err
		},
	}
	cmd.Flags().StringVar(&dsnFile, "postgres-dsn-file", "", "file with the connection string; ca.crt, tls.crt and tls.key beside it are used, too")
	_ = cmd.MarkFlagRequired("postgres-dsn-file") // fails only for a flag that does not exist
	return cmd
}

// runBackup lets the store that runs make the backup, or makes it itself.
func runBackup(ctx context.Context, data, out string, stdout io.Writer) (store.BackupSummary, error) {
	var summary store.BackupSummary
	write := func(w io.Writer) (err error) {
		if summary, err = adminapi.Backup(ctx, data, w); errors.Is(err, adminapi.ErrNotRunning) {
			summary, err = store.BackupDir(ctx, data, w)
		}
		return err
	}
	if out != stdio {
		return summary, writeWhole(out, write)
	}
	if f, ok := stdout.(*os.File); ok {
		if info, err := f.Stat(); err == nil && info.Mode()&os.ModeCharDevice != 0 {
			return summary, errors.New("--out -: the standard output is a terminal; send it to a file or a pipe")
		}
	}
	err := write(stdout)
	return summary, err
}

// writeWhole makes a file that is there whole or not at all, for its owner
// alone.
func writeWhole(path string, write func(io.Writer) error) error {
	if _, err := os.Lstat(path); err == nil {
		return fmt.Errorf("--out: %s is there already; choose another name", path)
	}
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".part-*") // its mode is 0600
	if err != nil {
		return fmt.Errorf("--out: %w", err)
	}
	err = write(f)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}

func runRestore(ctx context.Context, data, in string, stdin io.Reader) (store.BackupSummary, error) {
	if in == stdio {
		return store.Restore(ctx, data, stdin)
	}
	f, err := os.Open(in)
	if err != nil {
		return store.BackupSummary{}, fmt.Errorf("--in: %w", err)
	}
	defer f.Close()
	return store.Restore(ctx, data, f)
}

// tell prints for people what was done; the archive may be on the standard output.
func tell(w io.Writer, done string, s store.BackupSummary) error {
	const mib = 1 << 20
	_, err := fmt.Fprintf(w, "%s: database of %.1f MiB (schema %d) and %d attachments of %.1f MiB, as they were at %s\n",
		done, float64(s.DatabaseBytes)/mib, s.Schema, s.Media, float64(s.MediaBytes)/mib, s.Created.Format("2006-01-02 15:04:05Z07:00"))
	if s.MissingMedia+s.DamagedMedia > 0 && err == nil {
		_, err = fmt.Fprintf(w, "warning: %d attachments are missing and %d are damaged on the volume itself; messages and everything else are whole\n", s.MissingMedia, s.DamagedMedia)
	}
	if s.Unknown > 0 && err == nil {
		_, err = fmt.Fprintf(w, "note: %d messages waited to be sent then and may have been sent since; they are dead letters with status unknown, to be requeued by a person\n", s.Unknown)
	}
	return err
}
