<?php

// The fence of one side in PHP: for `auto_prepend_file`, or the first line of the application.
//
// It checks the signature, so it also holds where others than Pointsman can reach this machine.
// Write your own: the site, the side that this machine is of, and the files of the keys, by their
// names in `fence.keys` of routes.yaml. The epoch file is written by `pointsman-epoch` at each
// flip; without one every epoch is taken that is signed for this side.

declare(strict_types=1);

const FENCE_SITE = 'ispot';
const FENCE_SIDE = 'live';
const FENCE_KEYS = ['a' => '/etc/pointsman-fence/fence-a.key'];
const FENCE_EPOCH = '/var/lib/pointsman-fence/ispot.epoch';
// How far the clock of Pointsman may be from this one, in seconds.
const FENCE_SECONDS = 300;

/** Tells whether Pointsman sent the request to this side, in an epoch that is not over. */
function fence_admits(array $server, int $now): bool
{
    $epoch = $server['HTTP_POINTSMAN_EPOCH'] ?? null;
    $reads = in_array($server['REQUEST_METHOD'], ['GET', 'HEAD', 'OPTIONS'], true)
        && !isset($server['HTTP_UPGRADE']);
    if ($epoch === null) {
        // A check of Pointsman, or somebody who looks.
        return $reads;
    }
    if (!preg_match('/^[1-9][0-9]{0,17}$/D', $epoch)) {
        return false;
    }
    $signature = explode('.', $server['HTTP_POINTSMAN_SIGNATURE'] ?? '');
    if (count($signature) !== 3 || !preg_match('/^[0-9]{1,12}$/D', $signature[1])) {
        return false;
    }
    [$id, $time, $mac] = $signature;
    if (abs($now - (int) $time) > FENCE_SECONDS || !isset(FENCE_KEYS[$id])) {
        return false;
    }
    $key = rtrim((string) @file_get_contents(FENCE_KEYS[$id]));
    $text = implode("\n", ['pointsman-fence-1', FENCE_SITE, FENCE_SIDE, $epoch, $time]) . "\n";
    if ($key === '' || !hash_equals(hash_hmac('sha256', $text, $key), $mac)) {
        return false;
    }
    $current = is_file(FENCE_EPOCH) ? (int) file_get_contents(FENCE_EPOCH) : 0;
    return (int) $epoch >= $current;
}

if (!fence_admits($_SERVER, time())) {
    http_response_code(421);
    header('Content-Type: text/plain');
    exit("This side does not take it: ask by the public name.\n");
}
