# ga4relay_rails.rb - an event from Rails to ga4relay, when the record that it tells of is committed
#
# The line is written and the reply not waited for: ga4relay stores what write() took, also after the connection is
# closed, and keeps what it refuses for `ga4relay-ctl list --state rejected`. A relay that is away costs nothing, one
# that stalls at most PATIENCE seconds; the request never fails.
require "json"
require "socket"

module Ga4Relay
  PATH = "/run/ga4relay.sock"
  PATIENCE = 0.2

  # True if the line was written.
  def self.track(event, path: PATH)
    line = JSON.generate(event) + "\n"
    socket = Socket.new(:UNIX, :STREAM)
    socket.connect_nonblock(Socket.sockaddr_un(path))
    write(socket, line)
    true
  rescue SystemCallError, IOError, JSON::GeneratorError, EncodingError => e
    warn "ga4relay: event not sent: #{e.message}" # Rails.logger.warn
    false
  ensure
    socket&.close
  end

  def self.write(socket, line)
    give_up = Process.clock_gettime(Process::CLOCK_MONOTONIC) + PATIENCE
    until line.empty?
      n = socket.write_nonblock(line, exception: false)
      if n == :wait_writable
        left = give_up - Process.clock_gettime(Process::CLOCK_MONOTONIC)
        raise IOError, "the relay stalls" if left <= 0 || !socket.wait_writable(left)
      else
        line = line.byteslice(n..)
      end
    end
  end
  private_class_method :write
end

# The call site, in a model: include TracksRefunds
module TracksRefunds
  def self.included(model) = model.after_commit(:track_refund, on: :create)

  def track_refund
    Ga4Relay.track({
      client_id: order.ga_client_id,        # the _ga cookie, stored with the order
      name: "refund",
      dedup_key: "refund-#{order.number}",  # a job may run twice
      params: { transaction_id: order.number, currency: order.currency, value: order.total },
    })
  end
end
