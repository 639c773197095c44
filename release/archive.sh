# Sourced by the scripts of a release, for its one function.

# archive FILE FOLDER: packs what is in FOLDER as a compressed tar file whose bytes depend on the names, modes and contents in it, on
# $SOURCE_DATE_EPOCH, and on nothing else.
archive() {
  tar --create --directory="$2" --format=ustar --sort=name --mtime="@$SOURCE_DATE_EPOCH" --owner=0 --group=0 --numeric-owner \
    --mode='u+w,go-w' --transform='s,^\./,,' . | gzip --no-name --best >"$1"
}
