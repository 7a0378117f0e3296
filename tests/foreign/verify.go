// Verifies an exported log with golang.org/x/mod/sumdb, which Go itself trusts for its
// checksum database. Usage: verify FOLDER VKEY...; exit code 0 only if all of it holds.
package main

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

const height = 8

// folder reads tiles where tlog-tiles puts them: x/mod's own paths begin "tile/8/".
type folder string

func (f folder) Height() int { return height }

func (f folder) SaveTiles([]tlog.Tile, [][]byte) {}

func (f folder) ReadTiles(tiles []tlog.Tile) ([][]byte, error) {
	var out [][]byte
	for _, tile := range tiles {
		data, err := f.read(strings.Replace(tile.Path(), "tile/8/", "tile/", 1))
		if err != nil {
			return nil, err
		}
		out = append(out, data)
	}
	return out, nil
}

func (f folder) read(path string) ([]byte, error) {
	name := filepath.Join(string(f), path)
	// A pipe would be waited for, and what a device holds has no end.
	if found, err := os.Stat(name); err == nil && !found.Mode().IsRegular() {
		return nil, fmt.Errorf("%s: expected a regular file", name)
	}
	return os.ReadFile(name)
}

// records splits the bundles of all entries: a uint16 length, then the record.
func (f folder) records(size int64) (out [][]byte) {
	for first := int64(0); first < size; first += 256 {
		tile := tlog.Tile{H: height, L: 0, N: first / 256, W: int(min(256, size-first))}
		path := strings.Replace(tile.Path(), "tile/8/0/", "tile/entries/", 1)
		data := must(f.read(path))
		for len(data) > 0 {
			length := 2 + int(binary.BigEndian.Uint16(data))
			out = append(out, data[2:length])
			data = data[length:]
		}
	}
	return out
}

func must[T any](value T, err error) T {
	if err != nil {
		fmt.Fprintln(os.Stderr, "DOES NOT HOLD:", err)
		os.Exit(1)
	}
	return value
}

func main() {
	log := folder(os.Args[1])
	var verifiers []note.Verifier
	for _, key := range os.Args[2:] {
		verifiers = append(verifiers, must(note.NewVerifier(key)))
	}
	signed := must(note.Open(must(log.read("checkpoint")), note.VerifierList(verifiers...)))
	lines := strings.Split(signed.Text, "\n")
	// Whoever signed it did so in its own name: a key of another log says nothing.
	if lines[0] != signed.Sigs[0].Name {
		must(0, fmt.Errorf("the checkpoint is of another log"))
	}
	size := must(strconv.ParseInt(lines[1], 10, 64))
	var root tlog.Hash
	copy(root[:], must(base64.StdEncoding.DecodeString(lines[2])))

	reader := tlog.TileHashReader(tlog.Tree{N: size, Hash: root}, log)
	records := log.records(size)
	if int64(len(records)) != size {
		must(0, fmt.Errorf("%d records in the bundles, %d in the checkpoint", len(records), size))
	}
	jsonl := strings.Split(string(must(log.read("records.jsonl"))), "\n")
	if len(jsonl) != len(records)+1 || jsonl[len(records)] != "" {
		must(0, fmt.Errorf("records.jsonl has not as many records as the checkpoint"))
	}
	for i, record := range records {
		leaf := tlog.RecordHash(record)
		stored := must(reader.ReadHashes([]int64{tlog.StoredHashIndex(0, int64(i))}))
		if stored[0] != leaf || jsonl[i] != string(record) {
			must(0, fmt.Errorf("record %d is not what the tree holds", i))
		}
		proof := must(tlog.ProveRecord(size, int64(i), reader))
		must(0, tlog.CheckRecord(proof, size, root, int64(i), leaf))
	}
	for old := int64(1); old < size; old += max(1, size/50) {
		before := must(tlog.TreeHash(old, reader))
		proof := must(tlog.ProveTree(size, old, reader))
		must(0, tlog.CheckTree(proof, size, root, old, before))
	}
	fmt.Println("holds:", size, "records")
}
