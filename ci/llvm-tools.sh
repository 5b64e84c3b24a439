#!/usr/bin/env bash
# Which llvm-cov and llvm-profdata read the profiles that this rustc writes, as a line for a shell: rustup's, or a
# distribution's of the same LLVM. What LLVM_COV and LLVM_PROFDATA say already stays.
set -euo pipefail
[ -z "${LLVM_COV:-}" ] || [ -z "${LLVM_PROFDATA:-}" ] || exit 0
rustc=${RUSTC:-rustc}
said=$("$rustc" --version --verbose)
host=$(sed -n 's/^host: //p' <<< "$said")
llvm=$(sed -n 's/^LLVM version: \([0-9]*\).*/\1/p' <<< "$said")
for folder in "$("$rustc" --print sysroot)/lib/rustlib/$host/bin" "/usr/lib/llvm-$llvm/bin"; do
  if [ -x "$folder/llvm-cov" ] && [ -x "$folder/llvm-profdata" ]; then
    echo "export LLVM_COV=$folder/llvm-cov LLVM_PROFDATA=$folder/llvm-profdata"
    exit
  fi
done
echo "missing: llvm-cov and llvm-profdata of LLVM $llvm, as which rustc writes its profiles — rustup component add llvm-tools (Debian: apt-get install llvm-$llvm; elsewhere LLVM_COV and LLVM_PROFDATA say where they are)" >&2
exit 1
