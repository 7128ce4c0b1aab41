#!/bin/sh
# Makes a virtual environment and installs requirements files into it.
#
#   PYTHON= tools/make_venv.sh VENV REQUIREMENTS...
#
# Safe to run again after an interruption: an environment that does not work
# is rebuilt, one that works is completed. Unless PYTHON names one, the first
# supported interpreter on the path is taken.
set -eu

wanted=${PYTHON:-}
venv=$1
shift

supported() {
  "$1" -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 12))' \
    >/dev/null 2>&1
}

fail() {
  echo "error: $*" >&2
  exit 1
}

find_python() {
  for candidate in ${wanted:-python3 python3.12 python3.11 python3.10}; do
    if supported "$candidate"; then
      echo "$candidate"
      return
    fi
  done
  if ! command -v "${wanted:-python3}" >/dev/null 2>&1; then
    fail "there is no '${wanted:-python3}' on the path; install Python 3.10," \
      "3.11 or 3.12, or name one: make PYTHON=/path/to/python3.12 ..."
  fi
  fail "hydra_tf needs Python 3.10, 3.11 or 3.12, but '${wanted:-python3}' is" \
    "$("${wanted:-python3}" --version 2>&1 | head -n 1);" \
    "name another: make PYTHON=/path/to/python3.12 ..."
}

if ! supported "$venv/bin/python" ||
  ! "$venv/bin/python" -m pip --version >/dev/null 2>&1; then
  python=$(find_python)
  # Debian packages venv and ensurepip apart from the interpreter.
  "$python" -c 'import ensurepip, venv' 2>/dev/null ||
    fail "'$python' cannot make virtual environments (no ensurepip); on Debian" \
      "and Ubuntu install the package" \
      "$("$python" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')"
  rm -rf "$venv"
  echo "Making $venv with $("$python" --version)."
  "$python" -m venv "$venv"
fi

echo "Installing $* into $venv; the first time this downloads about 1 GB" \
  "and takes a few minutes."
for file; do
  set -- "$@" --requirement "$file"
  shift
done
# Python compiles what it imports; to compile all that TensorFlow has takes longer.
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check \
  --no-compile "$@"
echo "Installed."
