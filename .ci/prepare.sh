#!/usr/bin/env bash
# Makes a new machine ready for the lanes of the workflows: Debian's or Ubuntu's packages that the tests and a release take, and the right to
# make network namespaces, which the tests' sandbox has and Ubuntu keeps from all programs that it does not know. Needs root.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
[ "$(id -u)" = 0 ] || { echo "$0 needs root" >&2; exit 2; }
tests/packages.sh
tests/packages.sh arm64
restricted=/proc/sys/kernel/apparmor_restrict_unprivileged_userns
[ ! -e $restricted ] || echo 0 >$restricted
