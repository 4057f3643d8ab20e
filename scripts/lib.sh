# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# What the scripts here share. Sourced by them, with `set -eu` in force.

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
build=$top/build
prog=$(basename "$0")
case $top in
*[!A-Za-z0-9_./+@-]*)
	echo "$prog: error: neither make nor QEMU can cope with the path $top" >&2
	exit 2
	;;
esac
# depmod and modinfo are there.
PATH=$PATH:/usr/sbin:/sbin

say()
{
	echo "$prog: $*" >&2
}

die()
{
	echo "$prog: error: $*" >&2
	exit 2
}

need()
{
	local cmd
	for cmd in "$@"; do
		command -v "$cmd" >/dev/null ||
			die "'$cmd' is missing; run scripts/deps first"
	done
}

# Print the comment block that opens a script, as its usage text.
usage()
{
	sed -n '/^# Usage:/,/^[^#]/{s/^# \{0,1\}//p}' "$0"
}

# lock NAME: one at a time for the rest of this (sub)shell.
locked=
lock()
{
	# Twice would wait for itself.
	case " $locked " in *" $1 "*) return ;; esac
	mkdir -p "$build/locks"
	exec {lock_fd}>"$build/locks/$1"
	flock "$lock_fd"
	locked="$locked $1"
}

# Which Debian suite this host's own tools are of; empty when not Debian.
host_suite()
{
	# shellcheck source=/dev/null
	(. /etc/os-release && [ "${ID-}" = debian ] && echo "${VERSION_CODENAME-}") || :
}

# The Debian mirror: the caller's choice, else the one that this host uses when
# it is Debian, else mmdebstrap's own for the suite.
debian_mirror()
{
	local suite=$1 uri=''

	if [ -n "${EVSTREAM_DEBIAN_MIRROR-}" ]; then
		echo "${EVSTREAM_DEBIAN_MIRROR%/}"
		return
	fi
	if [ -n "$(host_suite)" ]; then
		# Neither the security nor the updates archive: the main one.
		# shellcheck disable=SC2016 # apt's own
		uri=$(apt-get indextargets --format \
			'$(RELEASE) $(COMPONENT) $(REPO_URI)' \
			'Created-By: Packages' 2>/dev/null |
			awk -v host="$(host_suite)" '
				$2 != "main" { next }
				$1 == host || $1 ~ /^(old)*stable$/ ||
				$1 ~ /^(testing|unstable|sid)$/ { print $3; exit }')
	elif command -v mmdebstrap >/dev/null; then
		# It is stopped as soon as it has made up its mind.
		# shellcheck disable=SC2016 # for the hook
		uri=$(mmdebstrap --variant=custom --mode=chrootless --setup-hook='
			cd "$1/etc/apt" &&
			grep -rhoE "[a-z]+://[^ ]+" sources.list sources.list.d |
			sed "s/^/mirror: /;q" >&2
			exit 1' "${suite%-backports}" /dev/null 2>&1 |
			sed -n 's/^mirror: //p')
	fi
	[ -n "$uri" ] ||
		die "no Debian mirror known here: set EVSTREAM_DEBIAN_MIRROR to one"
	echo "${uri%/}"
}

# private_apt SUITE [KEYRING]: make an apt of our own for SUITE below build/apt,
# so that the host's packages, lists and configuration stay as they are. Sets
# APT_CONFIG.
private_apt()
{
	local suite=$1 dir=$build/apt/$1 mirror keyring before='' arch=amd64

	need apt-get apt-cache dpkg-deb
	case ${APT_CONFIG-} in
	"$build"/*) unset APT_CONFIG ;; # one of ours, for another suite
	esac
	keyring=${2-${EVSTREAM_DEBIAN_KEYRING-/usr/share/keyrings/debian-archive-keyring.gpg}}
	[ -r "$keyring" ] || die "$keyring is missing; run scripts/deps first"
	mirror=$(debian_mirror "$suite")
	mkdir -p "$dir"/etc/{apt.conf.d,preferences.d,trusted.gpg.d,sources.list.d} \
		"$dir"/state/lists/partial "$dir"/cache/archives/partial "$dir/log"
	: >"$dir/status"
	echo "deb [arch=$arch signed-by=$keyring] $mirror $suite main" >"$dir/etc/sources.list"
	{
		# How this host reaches the network (proxies, dates) stays valid.
		apt-config dump | grep '^Acquire::' | grep -v '^Acquire::IndexTargets'
		cat <<-EOT
		APT::Architecture "$arch";
		APT::Architectures { "$arch"; };
		APT::Install-Recommends "false";
		APT::Sandbox::User "root";
		Acquire::Languages "none";
		Acquire::Retries "3";
		Dir "$dir";
		Dir::Etc "$dir/etc";
		Dir::Etc::Parts "$dir/etc/apt.conf.d";
		Dir::State "$dir/state";
		Dir::State::status "$dir/status";
		Dir::Cache "$dir/cache";
		Dir::Log "$dir/log";
		Dir::Bin::dpkg "$(command -v dpkg)";
		EOT
	} >"$dir/apt.conf.new"
	mv "$dir/apt.conf.new" "$dir/apt.conf"
	export APT_CONFIG=$dir/apt.conf
	if apt-get -qq update >"$dir/update.log" 2>&1; then
		return
	fi
	# An old host does not have the keys of a new suite: the suite before it
	# does, signed with keys that are older.
	case $suite in
	*-backports)	before=${suite%-backports} ;;
	sid | forky)	before=trixie ;;
	trixie)		before=bookworm ;;
	bookworm)	before=bullseye ;;
	esac
	if [ -z "${2-}" ] && [ -n "$before" ] && grep -q NO_PUBKEY "$dir/update.log"; then
		keyring=$build/apt/keyring-$before
		private_apt "$before"
		rm -rf "$keyring"
		mkdir -p "$keyring"
		(cd "$keyring" && apt-get -qq download debian-archive-keyring >&2) ||
			die "cannot fetch the keys of Debian $suite"
		unpack "$keyring"/*.deb "$keyring"
		private_apt "$suite" "$keyring/usr/share/keyrings/debian-archive-keyring.gpg"
		return
	fi
	cat "$dir/update.log" >&2
	die "cannot fetch the package lists of Debian $suite from $mirror"
}

# unpack DEB... DIR: put packages' files below DIR.
unpack()
{
	local dir=${*: -1} deb

	for deb in "${@:1:$#-1}"; do
		dpkg-deb --fsys-tarfile "$deb" |
			tar -C "$dir" -x --keep-directory-symlink --no-same-owner ||
			die "cannot unpack $deb"
	done
}
