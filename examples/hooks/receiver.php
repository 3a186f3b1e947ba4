<?php
// A receiver of Tautline's hooks for PHP: composer require standard-webhooks/standard-webhooks:dev-main
// HOOK_SECRET is one of `secrets` of the section.

declare(strict_types=1);

require __DIR__ . '/vendor/autoload.php';

$body = file_get_contents('php://input');
try {
    $webhook = new \StandardWebhooks\Webhook(getenv('HOOK_SECRET'));
    $question = $webhook->verify($body, array_change_key_case(getallheaders(), CASE_LOWER));
} catch (\Exception) {
    http_response_code(401);
    exit;
}

// A repetition has the same `id`: look it up in your database, and write it in the same transaction as the effect.
$answer = match ($question['kind']) {
    'connect', 'refresh' => ['result' => ['user' => 'ali', 'subs' => ['news']]],
    'subscribe' => $question['user'] === null
        ? ['error' => ['code' => 'permission_denied', 'message' => 'log in']]
        : ['result' => new stdClass()],
    'publish' => ['result' => ['data' => [...$question['data'], 'by' => $question['user']]]],
    'call' => $question['method'] === 'order.create'
        ? ['result' => ['data' => ['sku' => $question['data']['sku']]]]
        : ['error' => ['code' => 'not_found', 'message' => 'there is no such method']],
    default => ['error' => ['code' => 'permission_denied', 'message' => 'not here']],
};

header('content-type: application/json');
echo json_encode($answer, JSON_THROW_ON_ERROR);
