# net.py - a network of its own (root only): addresses on its loopback, a resolver (dnsmasq), rules that drop packets (nft)
import ctypes
import os
import re
import shutil
import subprocess
import tempfile
import threading
import time
import warnings
from pathlib import Path

import pytest

from .daemons import need

CLONE_NEWNET = 0x40000000
ENV = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}


def skip(why):
    warnings.warn(f"NO NETWORK NAMESPACE CAN BE MADE HERE: addresses that drop packets are not tested ({why})")
    pytest.skip(f"a network of its own: {why}")


class Net:
    """What runs in it sees these addresses, resolves the name by dnsmasq, and reaches nothing else."""

    def __init__(self, name, *addresses):
        for tool, package in (("dnsmasq", "dnsmasq-base"), ("nft", "nftables"), ("ip", "iproute2"), ("nsenter", "util-linux")):
            need(tool, package)
        if os.geteuid() != 0:
            skip("needs root")
        self.dir = Path(tempfile.mkdtemp(prefix="ga4relay-net-"))
        self.name, self.dnsmasq = name, None
        self.holder = subprocess.Popen(["unshare", "-n", "-m", "--propagation", "private", "sleep", "infinity"])
        try:
            self._wait_for(lambda: self._has_namespaces(), "the namespace")
            self._set_up(addresses)
        except (AssertionError, subprocess.CalledProcessError) as e:
            self.stop()
            skip(getattr(e, "stderr", None) or e)

    def _has_namespaces(self):
        try:
            return all(os.readlink(f"/proc/{self.holder.pid}/ns/{x}") != os.readlink(f"/proc/self/ns/{x}")
                       for x in ("net", "mnt"))
        except OSError:
            return False

    def _wait_for(self, condition, what):
        until = time.monotonic() + 20
        while not condition():
            assert time.monotonic() < until and self.holder.poll() is None, what
            time.sleep(0.01)

    def _set_up(self, addresses):
        self.run("ip", "link", "set", "lo", "up")
        for a in addresses:
            self.run("ip", "addr", "add", a + ("/128" if ":" in a else "/32"), "dev", "lo",
                     *(["nodad"] if ":" in a else []))
        self.run("nft", "add", "table", "inet", "t")
        self.run("nft", "add", "chain", "inet", "t", "c", "{ type filter hook input priority 0; }")
        hosts, resolv = self.dir / "hosts", self.dir / "resolv.conf"
        hosts.write_text("".join(f"{a} {self.name}\n" for a in addresses))
        resolv.write_text("nameserver 127.0.0.1\n")
        self.run("mount", "--bind", resolv, "/etc/resolv.conf")
        self.dnsmasq = subprocess.Popen([*self.enter, "dnsmasq", "-k", "-C", "/dev/null", "--listen-address=127.0.0.1",
                                         "--bind-interfaces", "--no-round-robin", "--no-resolv", "--no-hosts",
                                         f"--addn-hosts={hosts}", "--user=root", "--pid-file="],
                                        env=ENV, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self._wait_for(lambda: len(self.resolved()) == len(addresses), "dnsmasq")

    def resolved(self):
        """The addresses, as getaddrinfo() sorts them."""
        out = subprocess.run([*self.enter, "getent", "ahosts", self.name], capture_output=True, text=True).stdout
        return list(dict.fromkeys(x.split()[0] for x in out.splitlines()))

    @property
    def enter(self):
        """Before a command."""
        return ["nsenter", "-t", str(self.holder.pid), "-n", "-m", "--"]

    def run(self, *args):
        return subprocess.run([*self.enter, *map(str, args)], check=True, capture_output=True, text=True, env=ENV).stdout

    def inside(self, make):
        """What make() returns, called by a thread in this network: its sockets, and those of threads that it starts, are here."""
        result = []

        def enter_and_make():
            with open(f"/proc/{self.holder.pid}/ns/net") as f:
                if ctypes.CDLL(None, use_errno=True).setns(f.fileno(), CLONE_NEWNET) == 0:
                    result.append(make())

        t = threading.Thread(target=enter_and_make)
        t.start()
        t.join()
        return result[0]

    def drop(self, address, port, what="tcp flags & (syn|ack) == syn"):
        """From now on these packets vanish on their way to the address; what="": all of them."""
        family = "ip6" if ":" in address else "ip"
        self.run("nft", "add", "rule", "inet", "t", "c", family, "daddr", address, "tcp", "dport", port,
                 *what.split(), "counter", "drop")

    @property
    def dropped(self):
        return sum(map(int, re.findall(r"counter packets (\d+)", self.run("nft", "list", "ruleset"))))

    def stop(self):
        for p in (self.dnsmasq, self.holder):
            if p and p.poll() is None:
                p.terminate()
                p.wait(20)
        shutil.rmtree(self.dir, ignore_errors=True)
