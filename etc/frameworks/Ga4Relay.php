<?php
/* Ga4Relay.php - an event from Laravel (app/Services) or Symfony (src/Service, autowired) to ga4relay
 *
 * The line is written and the reply not waited for: ga4relay stores what write() took, also after the connection is
 * closed, and keeps what it refuses for `ga4relay-ctl list --state rejected`. A relay that is away costs nothing, one
 * that stalls at most PATIENCE seconds; the request never fails. */
declare(strict_types=1);

final class Ga4Relay
{
    private const PATIENCE = 0.2;

    public function __construct(private string $path = '/run/ga4relay.sock')
    {
    }

    /** True if the line was written. */
    public function track(array $event): bool
    {
        $line = json_encode($event, JSON_INVALID_UTF8_SUBSTITUTE | JSON_PARTIAL_OUTPUT_ON_ERROR) . "\n";
        $socket = @stream_socket_client("unix://$this->path", $code, $error, self::PATIENCE);
        $problem = $socket ? $this->write($socket, $line) : $error;
        if ($problem !== '') {
            error_log("ga4relay: event not sent: $problem");
        }
        return $problem === '';
    }

    /** @param resource $socket */
    private function write($socket, string $line): string
    {
        $end = microtime(true) + self::PATIENCE;
        stream_set_blocking($socket, false);
        while ($line !== '') {
            $left = (int) (($end - microtime(true)) * 1e6);
            [$read, $write, $except] = [null, [$socket], null];
            if ($left <= 0 || !stream_select($read, $write, $except, 0, $left)) {
                return 'the relay stalls';
            }
            $n = @fwrite($socket, $line);
            if ($n === false || $n === 0) {
                return 'the connection broke';
            }
            $line = substr($line, $n);
        }
        fclose($socket);
        return '';
    }
}

/** The call site: Laravel's listener of OrderRefunded, or Symfony's #[AsEventListener]. */
final class SendRefundToGa4
{
    public function __construct(private Ga4Relay $relay)
    {
    }

    public function handle(object $event): void
    {
        $order = $event->order;
        $this->relay->track([
            'client_id' => $order->ga_client_id,        // the _ga cookie, stored with the order
            'name' => 'refund',
            'dedup_key' => "refund-$order->number",     // the listener may run twice
            'params' => ['transaction_id' => $order->number, 'currency' => $order->currency, 'value' => $order->total],
        ]);
    }
}
