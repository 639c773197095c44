# Sourced by the scripts that build Go programs for the tests, for its one function.

# once NAME VERSION DURATION BUILDER FILE… builds a program at most once: it answers in $folder the folder that holds what the
# function BUILDER put into the folder it was given, and calls BUILDER only where no earlier run did. That folder's name says the
# content of all FILEs and the toolchain. Nothing is downloaded or built without a word on stderr.
once() {
  local name=$1 version=$2 duration=$3 builder=$4 recipe cache staging
  shift 4
  command -v go >/dev/null || {
    echo "the tests build $name with Go 1.26 or newer (https://go.dev/dl): no 'go' on the PATH" >&2
    exit 2
  }
  recipe=$( { cat "$@" && go env GOVERSION GOARCH; } | sha256sum | cut -c1-16)
  cache=${PULLCRED_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/pullcred}
  folder=$cache/$name-$version-$recipe
  [ ! -d "$folder" ] || return 0
  mkdir -p "$cache"
  staging=$(mktemp -d "$cache/.staging.XXXXXX")
  # shellcheck disable=SC2064 # The folder of now.
  trap "rm -rf '$staging'" EXIT
  echo "building $name $version into $folder: about $duration on two cores, once" >&2
  CGO_ENABLED=0 "$builder" "$staging" >&2
  # Two runs at once may both build; the first to rename wins and the other's folder goes.
  mv -T "$staging" "$folder" 2>/dev/null || [ -d "$folder" ]
}
